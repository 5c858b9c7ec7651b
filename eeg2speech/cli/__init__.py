"""The `eeg2speech` command. Nothing heavy is imported before it is known which command was asked for."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

STAGES = {
    "fit": "Train a stage.",
    "validate": "Validate a checkpoint.",
    "test": "Test a checkpoint and write test.json.",
    "predict": "Represent windows with a trained model.",
}
TOOLS = {
    "prepare": ("eeg2speech.cli.prepare", "Turn raw recordings into a prepared store."),
    "doctor": ("eeg2speech.cli.doctor", "Check a prepared store and show what is in it."),
    "export": ("eeg2speech.cli.export", "Write what a checkpoint holds as safetensors and config.json."),
    "generate": ("eeg2speech.cli.generate", "Make speech out of EEG with a trained model."),
    "resynthesise": ("eeg2speech.cli.resynthesise", "Make speech out of speech: the best that EEG could give."),
    "plan": ("eeg2speech.cli.plan", "Estimate memory, time and GPU-hours of a stage, before it runs."),
    "report": ("eeg2speech.cli.report", "Write one HTML page about runs: verdicts, figures, curves, pictures, sounds."),
    "sweep": ("eeg2speech.cli.sweep", "Run combinations of settings with several seeds, and compare them."),
    "completion": ("eeg2speech.cli.completion", "Print a script that completes commands and options in a shell."),
}


def main(argv: Sequence[str]) -> int:
    """Run a command.

    Args:
        argv: Words after ``eeg2speech``.

    Returns:
        Exit status: 0 done, 1 a problem that the message explains, 2 a mistake on the command line, 75 pre-empted and
        saved, 130 interrupted.
    """
    from eeg2speech.cli.words import clean_words
    from eeg2speech.core.errors import INTERRUPTED, Eeg2SpeechError, of_disk

    from_console = list(argv) == sys.argv[1:]
    try:
        argv = clean_words(argv)
        if from_console:
            sys.argv[1:] = argv
        if argv and argv[0] in STAGES:
            if {"-h", "--help"} & set(argv):
                from eeg2speech.cli.stage_help import help_text

                print(help_text(argv[0]), end="")
                sys.exit(0)
            argv = ["--help" if word == "--help=all" else word for word in argv]
            from eeg2speech.cli.lightning import run_stage

            return run_stage(argv)
        if argv and argv[0] in TOOLS:
            return _run_tool(argv[0], argv[1:])
        from eeg2speech.cli.root import answer

        sys.exit(answer(argv))
    except Eeg2SpeechError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except UnicodeEncodeError as error:
        if error.encoding != sys.getfilesystemencoding():
            raise
        print(f"error: {error.object!a}: no file name in {error.encoding}; set PYTHONUTF8=1", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `eeg2speech doctor ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        found = of_disk(error)
        if found is None:
            raise
        print(f"error: {found}", file=sys.stderr)
        return 1


def run() -> None:
    """Entry point of the console script."""
    if sys.argv[1:2] == ["fit"]:  # imports take seconds, in which a cluster may already want its machine back
        from eeg2speech.core.signals import PREEMPTING, note

        note.take(*PREEMPTING)
    from eeg2speech.cli.streams import readable_streams, utf8_files

    readable_streams()
    utf8_files()
    sys.exit(main(sys.argv[1:]))


def _run_tool(name: str, argv: list[str]) -> int:
    from eeg2speech.core.config_files import check_configs

    check_configs(argv)
    module = importlib.import_module(TOOLS[name][0])
    if hasattr(module, "run"):
        return int(module.run(argv))
    from eeg2speech.cli.parser import tool_parser

    parser = tool_parser(name)
    options = parser.instantiate(parser.parse_args(argv)).as_dict()
    options.pop("config", None)
    return int(module.COMMAND(**options))
