"""address.py: what is public. Vectors from IANA's special-purpose registries and from known ways around such checks."""

from __future__ import annotations

import ipaddress

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from crawler.fetch.connect.address import BAD_PORTS, forbidden

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1",
    "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0",
    "198.17.255.255", "198.20.0.0", "223.255.255.255",
    "2001:4860:4860::8888", "2606:4700::1111", "2a00:1450:4001::1", "2001:200::1",
    "::ffff:8.8.8.8",  # mapped
    "64:ff9b::808:808",  # NAT64 (RFC 6052): how an IPv6-only network reaches 8.8.8.8
    "2002:808:808::1",  # 6to4
]  # fmt: skip

NOT_PUBLIC = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.1",
    "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "ff0e::1", "100::1",
    "2001:db8::1", "3fff::1", "5f00::1", "2001:2::1", "2001:10::1",
    "::127.0.0.1", "::8.8.8.8",  # IPv4-compatible: deprecated, leads nowhere good
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:100.64.0.1",  # mapped
    "::ffff:0:127.0.0.1",  # translated
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",  # NAT64
    "64:ff9b:1::1", "64:ff9b:1::808:808",  # NAT64 of the local network
    "2002:7f00:1::1", "2002:a00:1::1", "2002:c0a8:1::1",  # 6to4
    "2001:0:808:808::f5ff:fffe", "2001:0:808:808::f7f7:f7f7",  # Teredo
]  # fmt: skip


class ForbiddenTests(SynchronousTestCase):
    def test_public(self) -> None:
        """Addresses of the internet, to the edges of the networks beside them."""
        for address in PUBLIC:
            self.assertIsNone(forbidden(address), address)

    def test_not_public(self) -> None:
        """This host, its networks, multicast, documentation, and all of these in an IPv6 disguise."""
        for address in NOT_PUBLIC:
            self.assertIsNotNone(forbidden(address), address)

    def test_reason(self) -> None:
        """The sentence names the address and where it belongs, through the disguise."""
        self.assertEqual(forbidden("10.0.0.1"), "10.0.0.1 is in 10.0.0.0/8, which is not public")
        self.assertEqual(
            forbidden("::ffff:10.0.0.1"),
            "::ffff:10.0.0.1 stands for 10.0.0.1, and 10.0.0.1 is in 10.0.0.0/8, which is not public",
        )

    @settings(max_examples=60, derandomize=True, database=None)
    @given(st.ip_addresses(v=4))
    def test_disguise_changes_nothing(self, inner: ipaddress.IPv4Address) -> None:
        """An IPv4 address is judged alike in itself, mapped, behind NAT64 and in 6to4."""
        plain = forbidden(str(inner)) is None
        number = int(inner)
        for disguised in ((0xFFFF << 32) + number, (0x64FF9B << 96) + number, (0x2002 << 112) + (number << 80)):
            assert (forbidden(str(ipaddress.IPv6Address(disguised))) is None) == plain

    @settings(max_examples=60, derandomize=True, database=None)
    @given(st.ip_addresses())
    def test_nothing_private_is_public(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
        """Whatever the standard library knows to be private is so here."""
        if isinstance(address, ipaddress.IPv6Address) and address.sixtofour is not None:
            return  # judged as the IPv4 address in it, while newer Pythons call all of 6to4 private
        if address.is_private or address.is_multicast or address.is_loopback or address.is_link_local:
            assert forbidden(str(address)) is not None


class BadPortTests(SynchronousTestCase):
    def test_services_that_a_request_could_talk_to(self) -> None:
        """Mail, SSH, IRC, Redis and their like are bad; ports of web servers are not."""
        self.assertLessEqual({22, 23, 25, 110, 143, 6379, 6667, 10080}, BAD_PORTS)
        self.assertTrue(BAD_PORTS.isdisjoint({80, 443, 8000, 8080, 8443, 3000, 5000, 9200}))
