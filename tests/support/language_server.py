"""An editor's side of the Language Server Protocol 3.17 over a pipe: what a user is shown while typing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CAPABILITIES = {
    "textDocument": {
        "completion": {"completionItem": {"documentationFormat": ["plaintext"]}},
        "hover": {"contentFormat": ["plaintext"]},
    },
    "workspace": {"configuration": True},
}


class Editor:
    """pyright's language server with one open file. It is over when the block is."""

    def __init__(self, folder: Path, text: str) -> None:
        self._last = 0
        self._text = text
        self._uri = (folder / "typed.py").as_uri()
        self._server = subprocess.Popen(
            [sys.executable, "-m", "pyright.langserver", "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
        )
        root = [{"uri": folder.as_uri(), "name": "folder"}]
        self._ask(
            "initialize", processId=None, rootUri=folder.as_uri(), capabilities=CAPABILITIES, workspaceFolders=root
        )
        self._tell("initialized")
        document = {"uri": self._uri, "languageId": "python", "version": 1, "text": text}
        self._tell("textDocument/didOpen", textDocument=document)

    def completions(self, after: str) -> dict[str, dict[str, Any]]:
        """What is offered where this text of the file ends, by label."""
        answer = self._ask("textDocument/completion", **self._place(after))
        return {item["label"]: item for item in answer["items"]}

    def hover(self, after: str) -> str:
        """What is shown under the pointer, at the last letter of this text."""
        place = self._place(after)
        place["position"]["character"] -= 1
        found: str = self._ask("textDocument/hover", **place)["contents"]["value"]
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.kill()
        self._server.communicate()

    def _place(self, after: str) -> dict[str, Any]:
        lines = self._text[: self._text.index(after) + len(after)].splitlines()
        return {"textDocument": {"uri": self._uri}, "position": {"line": len(lines) - 1, "character": len(lines[-1])}}

    def _ask(self, method: str, **parameters: Any) -> Any:
        self._last += 1
        self._send({"id": self._last, "method": method, "params": parameters})
        while True:
            message = self._receive()
            if "method" in message and "id" in message:  # what the server wants to know: nothing is configured
                wanted = message["params"]["items"] if message["method"] == "workspace/configuration" else []
                self._send({"id": message["id"], "result": [self._settings(item["section"]) for item in wanted]})
            elif message.get("id") == self._last:
                assert "error" not in message, message
                return message["result"]

    @staticmethod
    def _settings(section: str) -> dict[str, Any]:
        return {"pythonPath": sys.executable} if section == "python" else {}

    def _tell(self, method: str, **parameters: Any) -> None:
        self._send({"method": method, "params": parameters})

    def _send(self, message: dict[str, Any]) -> None:
        content = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._server.stdin is not None
        self._server.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(content), content))
        self._server.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._server.stdout is not None
        size = 0
        while (line := self._server.stdout.readline()) != b"\r\n":
            assert line, "the language server has gone"
            if line.lower().startswith(b"content-length:"):
                size = int(line.partition(b":")[2])
        found: dict[str, Any] = json.loads(self._server.stdout.read(size))
        return found
