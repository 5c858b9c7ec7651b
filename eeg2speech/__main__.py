from eeg2speech.cli import run

run()
