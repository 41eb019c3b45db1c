"""Completion scripts for bash, zsh and fish, from the tables that --help shows. Pure.

A script knows the flags, the values where there is a choice (also of several, with commas between them: none twice),
where a file or a folder stands, the commands, and of what follows them what their usage names: DIR is the folder of a
job, CODE an error code, COMMAND a command.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

from crawler.cli.usage.help import ALL, topics
from crawler.config.fields import FIELDS, PARTS
from crawler.config.kinds import Choice, Flag, Many, Option, Path
from crawler.config.options.output import Fields

_JOB: Final = "frontier.sqlite"
"""By this file a folder is known to hold a job."""

Commands = Mapping[str, tuple[str, str]]
"""First words, what they do, and the usage of what follows them."""


class _Follow(NamedTuple):
    """What may follow which commands."""

    jobs: Collection[str]
    codes: Collection[str]
    words: Collection[str]


def script(shell: str, options: Sequence[Option], commands: Commands) -> str:
    """The script for a shell of SHELLS."""

    def taking(word: str) -> list[str]:
        """Those whose usage names this, and no file in its place."""
        return [name for name, (_, usage) in commands.items() if re.search(rf"(?<!\|)\b{word}\b", usage)]

    follow = _Follow(taking("DIR"), taking("CODE"), taking("COMMAND"))
    return SHELLS[shell]([option for option in options if option.flags], commands, follow)


def _topics(options: Sequence[Option], commands: Commands) -> str:
    """What may be asked help on."""
    return " ".join(dict.fromkeys((*commands, *topics(options), ALL)))


def _codes() -> str:
    from crawler.errors import CODES

    return " ".join(CODES)


def _values(option: Option) -> Sequence[str]:
    """The words to choose from."""
    if isinstance(option.kind, Fields):
        return (*FIELDS, *PARTS)
    kind = option.kind.item if isinstance(option.kind, Many) else option.kind
    return kind.values if isinstance(kind, Choice) else ()


def _has_commas(option: Option) -> bool:
    """Whether several values may stand in one word."""
    return isinstance(option.kind, Many) and "," in option.kind.separators


def _bash(options: Sequence[Option], commands: Commands, follow: _Follow) -> str:
    # The words go through `read`: COMPREPLY=($words) would expand a * in a file name, and macOS's bash has no mapfile.
    cases = [
        f"        {'|'.join(option.flags)}) {_bash_words(option)} ;;"
        for option in options
        if not isinstance(option.kind, Flag)
    ]
    flags = " ".join(flag for option in options for flag, _ in _flags(option))
    return f"""\
# bash completion for crawler: eval "$(crawler --completion bash)"
_crawler_list() {{ # some of these words, with commas between them, none twice
    local before= word left=
    [[ $current == *,* ]] && before=${{current%,*}},
    for word in "$@"; do [[ ,$before == *,"$word",* ]] || left+=" $word"; done
    compopt -o nospace 2>/dev/null # a comma may follow
    words=$(compgen -P "$before" -W "$left" -- "${{current##*,}}")
}}
_crawler_jobs() {{ # folders that hold a job; where none does, those that may lead to one
    local folder
    for folder in "$current"*/; do
        [[ -e ${{folder}}{_JOB} ]] && words+=${{words:+$'\\n'}}${{folder%/}}
    done
    [[ $words ]] || words=$(compgen -d -- "$current")
}}
_crawler() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} words=
    if [[ $current == = ]]; then current=; elif [[ $previous == = ]]; then previous=${{COMP_WORDS[COMP_CWORD-2]}}; fi
    case $previous in
{chr(10).join(cases)}
        *)
            if [[ $current == -?* ]]; then
                words=$(compgen -W "{flags}" -- "$current")
            elif [[ $COMP_CWORD == 1 ]]; then
                words=$(compgen -f -- "$current")
                words+=$'\\n'$(compgen -W "{" ".join(commands)}" -- "$current")
            elif [[ $COMP_CWORD == 2 && " {" ".join(follow.jobs)} " == *" ${{COMP_WORDS[1]}} "* ]]; then
                _crawler_jobs
            elif [[ " {" ".join(follow.codes)} " == *" ${{COMP_WORDS[1]}} "* ]]; then
                words=$(compgen -W "{_codes()}" -- "$current")
            elif [[ " {" ".join(follow.words)} " == *" ${{COMP_WORDS[1]}} "* ]]; then
                words=$(compgen -W "{_topics(options, commands)}" -- "$current")
            else
                words=$(compgen -f -- "$current")
            fi ;;
    esac
    IFS=$'\\n' read -r -d '' -a COMPREPLY <<< "$words"
}}
complete -o filenames -F _crawler crawler
"""


def _bash_words(option: Option) -> str:
    if values := _values(option):
        if _has_commas(option):
            return f"_crawler_list {' '.join(values)}"
        return f'words=$(compgen -W "{" ".join(values)}" -- "$current")'
    if path := _path(option):
        return f'words=$(compgen -{"d" if path.folder else "f"} -- "$current")'
    return ":"


def _zsh(options: Sequence[Option], commands: Commands, follow: _Follow) -> str:
    specs: list[str] = []
    for option in options:
        again = "*" if option.repeatable else f"({' '.join((*option.flags, *option.opposites))})"
        for flag, text in _flags(option):
            equals = "" if isinstance(option.kind, Flag) else "=" if flag.startswith("--") else ""
            about = _quoted(f"[{_zsh_escaped(text)}]{_zsh_value(option)}", "'\\''")
            specs.append(f"'{again}'{flag}{equals}{about}")
    words = " ".join(f'{name}\\:"{_zsh_escaped(about)}"' for name, (about, _) in commands.items())
    first = _quoted(f"commands:command:(({words}))", "'\\''")
    lines = " \\\n        ".join((*specs, "'1:input:_crawler_first'", "'*:input:_crawler_rest'"))
    return f"""\
#compdef crawler
# zsh completion for crawler: eval "$(crawler --completion zsh)"
_crawler_first() {{
    _alternative {first} 'files:file:_files'
}}
_crawler_jobs() {{ # folders that hold a job; where none does, those that may lead to one
    _path_files -g '*(-/e:"[[ -e $REPLY/{_JOB} ]]":)' || _path_files -/
}}
_crawler_rest() {{
    if (( CURRENT == 3 )) && [[ $words[2] == ({_either(follow.jobs)}) ]]; then
        _crawler_jobs
    elif [[ $words[2] == ({_either(follow.codes)}) ]]; then
        compadd - {_codes()}
    elif [[ $words[2] == ({_either(follow.words)}) ]]; then
        compadd - {_topics(options, commands)}
    else
        _files
    fi
}}
_crawler() {{
    _arguments -s -S \\
        {lines}
}}
if [[ $funcstack[1] == _crawler ]]; then _crawler "$@"; else compdef _crawler crawler; fi
"""


def _either(words: Collection[str]) -> str:
    return "|".join(words) or "''"  # zsh has no pattern of nothing


def _zsh_value(option: Option) -> str:
    if isinstance(option.kind, Flag):
        return ""
    if values := _values(option):
        if _has_commas(option):
            return f":{option.metavar}:_sequence compadd - {' '.join(values)}"
        return f":{option.metavar}:({' '.join(values)})"
    if path := _path(option):
        return f":{option.metavar}:{'_files -/' if path.folder else '_files'}"
    return f":{option.metavar}: "


def _zsh_escaped(text: str) -> str:
    for special in "\\[]:":
        text = text.replace(special, f"\\{special}")
    return text


def _fish(options: Sequence[Option], commands: Commands, follow: _Follow) -> str:
    lines = [
        f"""\
# fish completion for crawler: crawler --completion fish | source
function __crawler_list -d 'Some of these words, with commas between them, none twice'
    set -l before (commandline -ct | string replace -r '^--[^=]*=' '' | string match -r '^.*,')
    set -q before[1]; or set before ''
    for word in $argv
        string match -q -- "*,$word,*" ",$before"; or echo $before$word
    end
end
function __crawler_jobs -d 'Folders that hold a job; where none does, those that may lead to one'
    set -l current (commandline -ct)
    set -l jobs $current*/{_JOB}
    if set -q jobs[1]
        string replace -r '/{_JOB}$' '' -- $jobs
    else
        __fish_complete_directories $current ''
    end
end
function __crawler_after -d 'Whether there are so many words before this one, the first of them one of these commands'
    set -l words (commandline -opc)
    test (count $words) $argv[1..2]; and contains -- "$words[2]" $argv[3..]
end"""
    ]
    for option in options:
        for flag, text in _flags(option):
            name = f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
            lines.append(f"complete -c crawler {name}{_fish_value(option)} -d {_quoted(text)}")
    for name, (about, _) in commands.items():
        lines.append(f"complete -c crawler -n __fish_is_first_token -a {name} -d {_quoted(about)}")
    for names, places, words in (
        (follow.jobs, "-eq 2", "(__crawler_jobs)"),
        (follow.codes, "-gt 2", _codes()),
        (follow.words, "-gt 1", _topics(options, commands)),
    ):
        lines.append(f"complete -c crawler -n '__crawler_after {places} {' '.join(names)}' -x -a '{words}'")
    return "\n".join(lines) + "\n"


def _fish_value(option: Option) -> str:
    if isinstance(option.kind, Flag):
        return ""
    if values := _values(option):
        return (
            f" -x -a '(__crawler_list {' '.join(values)})'" if _has_commas(option) else f" -x -a '{' '.join(values)}'"
        )
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


SHELLS: Final[Mapping[str, Callable[[Sequence[Option], Commands, _Follow], str]]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
}
