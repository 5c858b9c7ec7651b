"""Trained models as folders to give away, on the Hugging Face hub or on disk: an export with a model card."""

from __future__ import annotations

import re
from abc import abstractmethod
from pathlib import Path
from typing import Any, Self

from huggingface_hub import ModelCard, PyTorchModelHubMixin, snapshot_download

from eeg2speech.checkpoints.exports import Part, read_config, write_export
from eeg2speech.core.cache import check_hub_cache
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.inference.arguments import path_of
from eeg2speech.inference.cards import write_card
from eeg2speech.metrics.results import RESULTS_FILE, Results, read_results, write_results

FILES = ["config.json", "*.safetensors", RESULTS_FILE]
"""What is downloaded of a repository."""
_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
ELSEWHERE = ("components", "audio_weights")
"""Settings that name further weights, by folder or by hub id."""


class Published(PyTorchModelHubMixin, library_name="eeg2speech", tags=["eeg", "speech", "brain-computer-interface"]):
    """A model with ``save_pretrained``, ``from_pretrained`` and ``push_to_hub``.

    The folder is what ``eeg2speech export`` writes, with a model card and the results of the run's test. Nothing is
    pickled on the way out or unpickled on the way in.
    """

    remembered: dict[str, Any]
    provenance: dict[str, Any]
    source: Path | None

    @abstractmethod
    def _parts(self) -> dict[str, Part]:
        """What is written, the part that has the others inside it last."""

    @classmethod
    @abstractmethod
    def _load(cls, source: Path, device: str) -> Self:
        """The model in a folder."""

    def results(self) -> Results | None:
        """Results of the test of the model's run; None where there is no ``test.json`` beside the model.

        Raises:
            DataError: The file is damaged or of another version.
        """
        file = None if self.source is None else _results_of(self.source)
        return None if file is None else read_results(file)

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """A card that states data, licence, figures with their verdicts, and limits.

        Args:
            args: None are taken.
            kwargs: ``license``, an identifier of the hub for the weights, in place of what follows from the data; and
                ``repo_id`` for the lines that load the model.
        """
        described = {name: (part.described, len(part.weights)) for name, part in self._parts().items()}
        return write_card(described, self.remembered, self.provenance, self.results(), *args, **kwargs)

    def save_pretrained(self, save_directory: str | Path, **settings: Any) -> str | None:
        """Write the model into a folder; see ``PyTorchModelHubMixin``.

        Raises:
            ConfigError: It is no path.
        """
        saved: str | None = super().save_pretrained(path_of(save_directory), **settings)
        return saved

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **settings: Any) -> Self:
        """Load the model in a folder or a repository of the hub; see ``PyTorchModelHubMixin``.

        Raises:
            ConfigError: It is no path and no id of a repository, or the hub cannot be reached or does not have it.
            DataError: There is no such folder, or it is damaged.
        """
        path, name = path_of(pretrained_model_name_or_path), str(pretrained_model_name_or_path)
        if not path.is_dir() and (not _REPOSITORY.fullmatch(name) or isinstance(pretrained_model_name_or_path, Path)):
            raise DataError(f"{path}: no such folder; name one that save_pretrained wrote, or OWNER/NAME on the hub")
        loaded: Self = super().from_pretrained(path if path.is_dir() else name, **settings)
        return loaded

    def _save_pretrained(self, save_directory: Path) -> None:
        provenance = {key: value for key, value in self.provenance.items() if key != "folder"}
        results = self.results()
        write_export(save_directory, self._parts(), provenance, self.remembered)
        if results is not None:
            write_results(save_directory / RESULTS_FILE, results)

    @classmethod
    def _from_pretrained(  # type: ignore[override]  # the hub's own signature is untyped
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        device: str = "cpu",
        provenance: Any = None,
    ) -> Self:
        """The model in a folder or a repository; ``provenance`` is what the mixin finds in the folder's config."""
        if Path(model_id).is_dir():
            return cls._load(Path(model_id), device)
        if cache_dir is None:
            check_hub_cache()
        try:
            folder = Path(
                snapshot_download(
                    model_id,
                    revision=revision,
                    cache_dir=cache_dir,
                    force_download=force_download,
                    local_files_only=local_files_only,
                    token=token,
                    allow_patterns=FILES,
                )
            )
        except (OSError, ValueError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ConfigError(f"{model_id}: cannot be had from the hub ({reason}); check its name") from error
        _refuse_paths(folder, model_id)
        return cls._load(folder, device)


def _results_of(source: Path) -> Path | None:
    """``test.json`` in an export, else of the run that an export or checkpoint lies in."""
    beside = [source, source.parent] if source.is_dir() else [source.parent.parent]
    return next((folder / RESULTS_FILE for folder in beside if (folder / RESULTS_FILE).is_file()), None)


def _refuse_paths(folder: Path, repository: str) -> None:
    """What is downloaded may name weights on the hub, but no folder of this machine.

    Raises:
        DataError: It does.
    """
    try:
        parts = read_config(folder).get("parts", {})
        settings = [part.get("config", {}) for part in parts.values()]
        named = {key: config.get(key) for config in settings for key in ELSEWHERE if config.get(key) is not None}
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{repository}: not a model of eeg2speech ({error}); choose another") from error
    for key, value in named.items():
        if value != "tiny" and not str(value).startswith("hf_hub:"):
            raise DataError(
                f"{repository}: its {key}={value!r} is a folder where it was trained; download the model and name "
                "yours: load_generator(folder, components=...)"
            )
