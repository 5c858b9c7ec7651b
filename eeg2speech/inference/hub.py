"""Base of trained models: saving and loading them as exports with a model card, on disk or on the Hugging Face hub."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from huggingface_hub import ModelCard, PyTorchModelHubMixin, snapshot_download

from eeg2speech.checkpoints.exports import Part, read_config, write_export
from eeg2speech.core.errors import DataError
from eeg2speech.core.files import write_json
from eeg2speech.inference.arguments import path_of
from eeg2speech.inference.cards import write_card
from eeg2speech.inference.training_data import TrainingDataInfo
from eeg2speech.models.weights import HUB, from_hub

RESULTS = "test.json"
FILES = ["config.json", "*.safetensors", RESULTS]
"""Patterns of the files that are downloaded from a repository."""
_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
ELSEWHERE = ("components", "audio_weights")
"""Settings that refer to further weights, by folder or by hub id."""


class Published(PyTorchModelHubMixin, library_name="eeg2speech", tags=["eeg", "speech", "brain-computer-interface"]):
    """A trained model with ``save_pretrained``, ``from_pretrained`` and ``push_to_hub``.

    A saved folder is what ``eeg2speech export`` writes, with a model card and the results of the run's test. Nothing is
    pickled or unpickled.

    Args:
        training_data: The data that the model was trained on.
        device: Where it computes, e.g. ``cuda``.
        provenance: Where its weights come from; kept by ``save_pretrained``.
        source: Where it was loaded from, and where the run's ``test.json`` is searched for; None for nowhere.
    """

    def __init__(
        self,
        training_data: TrainingDataInfo,
        device: str = "cpu",
        provenance: Mapping[str, Any] | None = None,
        source: Path | None = None,
    ) -> None:
        self.training_data, self.device = training_data, device
        self.provenance, self.source = dict(provenance or {}), source

    @abstractmethod
    def _parts(self) -> dict[str, Part]:
        """The parts to write; the part that contains the others is the last."""

    @classmethod
    @abstractmethod
    def _load(cls, source: Path, device: str) -> Self:
        """The model in a folder."""

    def results(self) -> dict[str, Any]:
        """Results of the test of the model's run; empty if there are none.

        Raises:
            DataError: The file is damaged.
        """
        file = None if self.source is None else _results_of(self.source)
        if file is None:
            return {}
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{file}: damaged ({error}); test again to write it anew, or remove it") from error
        return content if isinstance(content, dict) else {}

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """Make a card with data, licence, results with their verdicts, and limits.

        Args:
            args: Not used.
            kwargs: ``license``, an identifier of the hub for the weights, instead of the one that follows from the
                data; and ``repo_id`` for the lines that load the model.
        """
        described = {name: (part.described, len(part.weights)) for name, part in self._parts().items()}
        return write_card(described, self.training_data.record, self.provenance, self.results(), *args, **kwargs)

    def save_pretrained(self, save_directory: str | Path, **settings: Any) -> str | None:
        """Write the model into a folder; see ``PyTorchModelHubMixin``.

        Raises:
            ConfigError: ``save_directory`` is not a path.
        """
        saved: str | None = super().save_pretrained(path_of(save_directory), **settings)
        return saved

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **settings: Any) -> Self:
        """Load a model from a folder or a repository of the hub; see ``PyTorchModelHubMixin``.

        Raises:
            ConfigError: The name is neither a path nor an id of a repository, or the hub cannot be reached or does not
                have it.
            DataError: The folder does not exist or is damaged.
        """
        path, name = path_of(pretrained_model_name_or_path), str(pretrained_model_name_or_path)
        if not path.is_dir() and (not _REPOSITORY.fullmatch(name) or isinstance(pretrained_model_name_or_path, Path)):
            raise DataError(f"{path}: no such folder; name one that save_pretrained wrote, or OWNER/NAME on the hub")
        loaded: Self = super().from_pretrained(path if path.is_dir() else name, **settings)
        return loaded

    def _save_pretrained(self, save_directory: Path) -> None:
        provenance = {key: value for key, value in self.provenance.items() if key != "folder"}
        results = self.results()
        write_export(save_directory, self._parts(), provenance, self.training_data.record)
        if results:
            write_json(save_directory / RESULTS, results)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        cache_dir: str | Path | None,
        device: str = "cpu",
        provenance: Any = None,
        **settings: Any,
    ) -> Self:
        """Load a model; ``settings`` are of ``snapshot_download``, ``provenance`` is read by the mixin and not used."""
        if Path(model_id).is_dir():
            return cls._load(Path(model_id), device)
        folder = from_hub(
            model_id,
            lambda: snapshot_download(model_id, cache_dir=cache_dir, allow_patterns=FILES, **settings),
            "check its name",
            default_cache=cache_dir is None,
        )
        _refuse_paths(folder, model_id)
        return cls._load(folder, device)


def _results_of(source: Path) -> Path | None:
    """``test.json`` in an export, or in the run that contains an export or a checkpoint."""
    folders = [source, source.parent] if source.is_dir() else [source.parent.parent]
    return next((folder / RESULTS for folder in folders if (folder / RESULTS).is_file()), None)


def _refuse_paths(folder: Path, repository: str) -> None:
    """Refuse a downloaded model whose settings refer to folders; only weights on the hub may be referred to.

    Raises:
        DataError: It refers to a folder, or is not a model.
    """
    try:
        parts = read_config(folder).get("parts", {})
        settings = [part.get("config", {}) for part in parts.values()]
        named = {key: config.get(key) for config in settings for key in ELSEWHERE if config.get(key) is not None}
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{repository}: not a model of eeg2speech ({error}); choose another") from error
    for key, value in named.items():
        if value != "tiny" and not str(value).startswith(HUB):
            raise DataError(
                f"{repository}: its {key}={value!r} is a folder where it was trained; download the model and name "
                "yours: load_generator(folder, components=...)"
            )
