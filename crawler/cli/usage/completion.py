"""Completion scripts for bash, zsh and fish, from the tables that --help shows. Pure.

A script knows the flags, the values where there is a choice, where a file or a folder stands, and the commands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from crawler.config.kinds import Choice, Flag, Many, Option, Path


def script(shell: str, options: Sequence[Option], commands: Mapping[str, str]) -> str:
    """The script for a shell of SHELLS; `commands` are first words and what they do."""
    return SHELLS[shell]([option for option in options if option.flags], commands)


def _bash(options: Sequence[Option], commands: Mapping[str, str]) -> str:
    # The words go through `read`: COMPREPLY=($words) would expand a * in a file name, and macOS's bash has no mapfile.
    cases = [
        f"        {'|'.join(option.flags)}) {_bash_words(option)} ;;"
        for option in options
        if not isinstance(option.kind, Flag)
    ]
    flags = " ".join(flag for option in options for flag, _ in _flags(option))
    return f"""\
# bash completion for crawler: eval "$(crawler --completion bash)"
_crawler() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} words=
    case $previous in
{chr(10).join(cases)}
        *)
            if [[ $current == -?* ]]; then
                words=$(compgen -W "{flags}" -- "$current")
            else
                words=$(compgen -f -- "$current")
                if [[ $COMP_CWORD == 1 ]]; then
                    words+=$'\\n'$(compgen -W "{" ".join(commands)}" -- "$current")
                fi
            fi ;;
    esac
    IFS=$'\\n' read -r -d '' -a COMPREPLY <<< "$words"
}}
complete -o filenames -F _crawler crawler
"""


def _bash_words(option: Option) -> str:
    if isinstance(option.kind, Choice):
        return f'words=$(compgen -W "{" ".join(option.kind.values)}" -- "$current")'
    if path := _path(option):
        return f'words=$(compgen -{"d" if path.folder else "f"} -- "$current")'
    return ":"


def _zsh(options: Sequence[Option], commands: Mapping[str, str]) -> str:
    specs: list[str] = []
    for option in options:
        again = "*" if option.repeatable else f"({' '.join((*option.flags, *option.opposites))})"
        for flag, text in _flags(option):
            about = _quoted(f"[{_zsh_escaped(text)}]{_zsh_value(option)}", "'\\''")
            specs.append(f"'{again}'{flag}{about}")
    words = " ".join(f'{name}\\:"{_zsh_escaped(about)}"' for name, about in commands.items())
    first = _quoted(f"commands:command:(({words}))", "'\\''")
    lines = " \\\n        ".join((*specs, "'1:input:_crawler_first'", "'*:input:_files'"))
    return f"""\
#compdef crawler
# zsh completion for crawler: eval "$(crawler --completion zsh)"
_crawler_first() {{
    _alternative {first} 'files:file:_files'
}}
_crawler() {{
    _arguments -s -S \\
        {lines}
}}
if [[ $funcstack[1] == _crawler ]]; then _crawler "$@"; else compdef _crawler crawler; fi
"""


def _zsh_value(option: Option) -> str:
    if isinstance(option.kind, Flag):
        return ""
    if isinstance(option.kind, Choice):
        return f":{option.metavar}:({' '.join(option.kind.values)})"
    if path := _path(option):
        return f":{option.metavar}:{'_files -/' if path.folder else '_files'}"
    return f":{option.metavar}: "


def _zsh_escaped(text: str) -> str:
    for special in "\\[]:":
        text = text.replace(special, f"\\{special}")
    return text


def _fish(options: Sequence[Option], commands: Mapping[str, str]) -> str:
    lines = ["# fish completion for crawler: crawler --completion fish | source"]
    for option in options:
        for flag, text in _flags(option):
            name = f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
            lines.append(f"complete -c crawler {name}{_fish_value(option)} -d {_quoted(text)}")
    for name, about in commands.items():
        lines.append(f"complete -c crawler -n __fish_is_first_token -a {name} -d {_quoted(about)}")
    return "\n".join(lines) + "\n"


def _fish_value(option: Option) -> str:
    if isinstance(option.kind, Flag):
        return ""
    if isinstance(option.kind, Choice):
        return f" -x -a '{' '.join(option.kind.values)}'"
    if path := _path(option):
        return " -x -a '(__fish_complete_directories)'" if path.folder else " -r -F"
    return " -x"


def _flags(option: Option) -> list[tuple[str, str]]:
    """Each flag and what it means."""
    return [
        *((flag, option.help) for flag in option.flags),
        *((flag, f"Not: {option.help}") for flag in option.opposites),
    ]


def _path(option: Option) -> Path | None:
    kind = option.kind.item if isinstance(option.kind, Many) else option.kind
    return kind if isinstance(kind, Path) else None


def _quoted(text: str, quote: str = "\\'") -> str:
    """Text in single quotes; `quote` is how the shell writes one inside."""
    return "'" + text.replace("'", quote) + "'"


SHELLS: Final[Mapping[str, Callable[[Sequence[Option], Mapping[str, str]], str]]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
}
