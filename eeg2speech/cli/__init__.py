"""The `eeg2speech` command. Heavy modules are imported only once the command is known."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from eeg2speech.core.errors import INTERRUPTED, ConfigError, Eeg2SpeechError, of_disk
from eeg2speech.core.paths import expanded

STAGES = {
    "fit": "Train a stage.",
    "validate": "Validate a checkpoint.",
    "test": "Test a checkpoint and write test.json.",
    "predict": "Compute features of windows with a trained model.",
}
TOOLS = {
    "prepare": "Convert raw recordings into a prepared store.",
    "doctor": "Check a prepared store and print its content.",
    "export": "Write the parts of a checkpoint as safetensors and config.json.",
    "generate": "Generate speech from EEG with a trained model.",
    "resynthesise": "Generate speech from speech: the upper limit for EEG.",
    "plan": "Estimate memory, time and GPU-hours of a stage before it runs.",
    "report": "Write one HTML page about runs: verdicts, curves, pictures, sounds.",
    "sweep": "Run combinations of settings with several seeds and compare them.",
    "completion": "Print a script that completes commands and options in a shell.",
}
"""Each is a module of this package, which has a function of that name, or ``run`` and ``parser``."""


def main(argv: Sequence[str]) -> int:
    """Run a command.

    Args:
        argv: Words after ``eeg2speech``.

    Returns:
        Exit status, see ``help.STATUS``.
    """
    from_console = list(argv) == sys.argv[1:]
    try:
        words = clean_words(argv)
        if from_console:
            sys.argv[1:] = words
        return _run_command(words)
    except Eeg2SpeechError as error:
        problem = " ".join(str(error).split())
    except UnicodeEncodeError as error:
        if error.encoding != sys.getfilesystemencoding():
            raise
        problem = f"{error.object!a}: not a file name in {error.encoding}; set PYTHONUTF8=1"
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `eeg2speech doctor ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        found = of_disk(error)
        if found is None:
            raise
        problem = str(found)
    print(f"error: {problem}", file=sys.stderr)
    return 1


def run() -> None:
    """Entry point of the console script."""
    if sys.argv[1:2] == ["fit"]:  # imports take seconds, during which a cluster may already pre-empt the job
        from eeg2speech.core.signals import PREEMPTING, note

        note.take(*PREEMPTING)
    from eeg2speech.cli.output import readable_streams, utf8_files

    readable_streams()
    utf8_files()
    sys.exit(main(sys.argv[1:]))


def clean_words(argv: Sequence[str]) -> list[str]:
    """Words of a command line with the home folder instead of ``~``, which shells keep after a ``=``.

    Raises:
        ConfigError: A word holds bytes that are not UTF-8, or the home folder of an unknown user.
    """
    for word in argv:
        if any("\udc80" <= letter <= "\udcff" for letter in word):
            raise ConfigError(f"{word!a}: not UTF-8; rename it, or give a link that has another name")
    return [_at_home(word) for word in argv]


def _at_home(word: str) -> str:
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{option}{equals}{expanded(value)}" if value.startswith("~") else word


def _run_command(words: list[str]) -> int:
    name = words[0] if words else "--help"
    if name in STAGES:
        return run_checked(words)
    if name in TOOLS:
        return _run_tool(name, words[1:])
    if name in ("-h", "--help"):
        from eeg2speech.cli.help import root_help

        print(root_help(), end="")
    elif name == "--version":
        from eeg2speech import __version__

        print(f"eeg2speech {__version__}")
    elif name == "--configs":
        from eeg2speech.core.config_files import config_folder

        print(config_folder())
    else:
        from eeg2speech.cli.parser import closest

        kind = "unknown option" if name.startswith("-") else "unknown command"
        near = closest(name, [*STAGES, *TOOLS, "--help", "--version", "--configs"])
        hint = f"did you mean {near}?" if near else f"choose from {', '.join([*STAGES, *TOOLS])}"
        print(f"usage: eeg2speech COMMAND ...\nerror: {kind} {name!r}; {hint} (eeg2speech --help)", file=sys.stderr)
        sys.exit(2)
    sys.exit(0)


def run_checked(words: list[str]) -> int:
    """Run fit, validate, test or predict after its config files and the names of its settings were checked.

    Args:
        words: Subcommand and options.

    Returns:
        Exit status.

    Raises:
        ConfigError: A config file cannot be read, or contains a setting that has another name.
    """
    if {"-h", "--help"} & set(words):
        from eeg2speech.cli.help import stage_help

        print(stage_help(words[0]), end="")
        sys.exit(0)
    from eeg2speech.cli.renamed import check_renamed
    from eeg2speech.core.config_files import check_configs, find_configs

    found = find_configs(words)  # a wrong file or an old name is reported before the imports of seconds
    check_configs(found)
    check_renamed(found[0], found[1:])
    from eeg2speech.cli.lightning import run_stage

    return run_stage(["--help" if word == "--help=all" else word for word in words])


def _run_tool(name: str, words: list[str]) -> int:
    from eeg2speech.cli.renamed import check_renamed
    from eeg2speech.core.config_files import check_configs

    check_configs(words)
    check_renamed(name, words)
    module = importlib.import_module(f"eeg2speech.cli.{name}")
    if hasattr(module, "run"):
        return int(module.run(words))
    from eeg2speech.cli.parser import call

    return call(name, words)
