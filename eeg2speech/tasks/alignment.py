from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, cast

import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torch.nn import functional as F

from eeg2speech.core.errors import ConfigError
from eeg2speech.core.seeding import mix
from eeg2speech.core.types import TEST_SPLITS, Batch, SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.loading.windows import covered_samples
from eeg2speech.losses import InfoNCE
from eeg2speech.metrics import NormalizedMSE, Retrieval
from eeg2speech.models import StepEncoder, ViTEncoder
from eeg2speech.models.aligner import Aligner, Target
from eeg2speech.models.audio.encoder import AudioEncoder
from eeg2speech.models.audio.loa import LOAScale
from eeg2speech.models.eeg.heads import Similarity
from eeg2speech.models.eeg.matched_filter_fit import fit_matched_filters
from eeg2speech.models.eeg.subject import Covariances
from eeg2speech.models.weights import HUB
from eeg2speech.tasks.base import Stage, Task, eeg_arguments
from eeg2speech.tasks.null_training import TrainOn, apply_train_on
from eeg2speech.tasks.provenance import records_of

SAME = 0.05
"""Bin width in seconds: windows of one stimulus whose sounds start in the same bin have the same sound."""
SUBJECT_DROPOUT_KEY = 0x73747267
"""Key of the random choice of windows with the mean subject layer, which depends on it and the window's seed alone."""
WHITENED = 2000
"""Training windows that the whitening is fitted on, evenly spread."""
SCALED = 512
"""Training windows that the scale of the LOA tokens is fitted on, evenly spread; a large audio encoder is slow."""
MATCHED = 20_000
"""Most training windows that the matched filters are fitted on, evenly spread: about 3 GB at 128 channels."""
MATCHED_KEY = 0x6D617463
"""Key of the noise that replaces EEG in the fit of matched filters for a null."""
LATEST = 0.05
"""Longest ``data.lag`` with matched filters, in seconds."""
_BINS = 10**7  # of a stimulus: 138 hours


def sound_keys(batch: Batch) -> Tensor:
    """Key of each window's sound, (B,): equal for windows with the same stretch of the same stimulus."""
    return batch["stimulus"] * _BINS + (batch["sound_start"] / SAME).round().long()


class AlignmentTask(Task):
    """Stage 2: embed EEG and the speech that was heard in one space.

    Reference: Defossez et al. 2023, Decoding speech perception from non-invasive brain recordings (Nature Machine
    Intelligence; arXiv 2208.12266).

    Args:
        samples: EEG samples of a window; linked from the data module.
        subjects: Labels of the subjects in the data; linked from the data module.
        channels: Electrodes of the largest montage; linked from the data module.
        encoder: EEG encoder, as in stage 1, or a ``StepEncoder``.
        audio: Audio encoder.
        loss: ``InfoNCE`` or ``SigLIP``.
        target: ``joint``: a space that both sides learn. ``loa``: the standardised tokens of the audio encoder, which
            are predicted from EEG and condition a diffusion model; the audio encoder must be frozen.
        mse_weight: Weight of the mean squared error of the predicted tokens relative to the contrastive loss, which
            depends on directions only; with ``loa``.
        features: Features of the vector of a 160 ms step; with ``loa`` always those of the tokens.
        width: Features of a step inside the heads.
        spatial_pooling: How electrode groups are combined: ``flat`` for a single montage, ``pooling`` for any.
        kernel: Steps that a convolution of the EEG head covers.
        depth: Convolutions of the EEG head.
        dropout: Share of features dropped in the EEG head in training.
        similarity: ``steps``: cosine averaged over steps; ``window``: cosine of all steps as one vector; ``pooled``:
            cosine of means over time.
        centre: Subtract the mean over time of each window before the comparison; not for ``pooled``.
        subject_layer: Mix the channels with a matrix per subject.
        subject_dropout: Share of training windows that use the mean subject layer, which unseen subjects use at test.
        whitening: Whiten the EEG of each subject first (Euclidean alignment).
        spectral_flattening: Filter the EEG first so that its spectrum is flat; fitted on training windows.
        matched_filters: Components of matched filters beside the encoder, which are fitted before the first step; 0 for
            none.
        optimizer: Makes the optimizer from parameter groups.
        warmup: Share of the run's steps over which the learning rate rises.
        reference_batch: Windows per step that the learning rate is meant for; it is scaled linearly with the effective
            batch. 0: no scaling.
        encoder_weights: Checkpoint or exported folder of stage 1; unset: the encoder starts from random weights.
        audio_weights: What the audio encoder starts from: for ``SpectrogramViT`` a checkpoint or exported folder of a
            run of ``configs/audiomae.yaml``, for ``AudioMAE`` a hub id, folder or file; unset: random weights.
        encoder_lr_scale: Learning rate of the EEG encoder as a multiple; 0 freezes it.
        layer_decay: Factor on the learning rate of the EEG encoder from one block to the one before it.
        train_on: Null training, to check that a model without information stays at chance: ``real`` data, EEG replaced
            by ``noise`` or ``phase-randomised``, or sounds ``shuffled`` within a batch. This includes what is fitted
            before the first step. Validations and tests are of unmodified data.

    Raises:
        ConfigError: Sizes or settings do not fit one another.
    """

    def __init__(
        self,
        samples: int,
        subjects: list[str],
        channels: int,
        encoder: ViTEncoder | StepEncoder,
        audio: AudioEncoder,
        loss: nn.Module | None = None,
        target: Target = "joint",
        mse_weight: float = 1.0,
        features: int = 64,
        width: int = 128,
        spatial_pooling: Literal["flat", "pooling"] = "flat",
        kernel: int = 5,
        depth: int = 1,
        dropout: float = 0.0,
        similarity: Similarity = "steps",
        centre: bool = True,
        subject_layer: bool = True,
        subject_dropout: float = 0.0,
        whitening: bool = False,
        spectral_flattening: bool = False,
        matched_filters: int = 0,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        warmup: float = 0.08,
        reference_batch: int = 64,
        encoder_weights: Path | None = None,
        audio_weights: Path | str | None = None,
        encoder_lr_scale: float = 1.0,
        layer_decay: float = 1.0,
        train_on: TrainOn = "real",
    ) -> None:
        super().__init__(optimizer, warmup, reference_batch, encoder_weights)
        if samples % encoder.samples:
            raise ConfigError(
                f"window of {samples} samples is not a whole number of steps of {encoder.samples} samples "
                "(data.window, model.encoder)"
            )
        if not 0 < layer_decay <= 1 or not 0 <= encoder_lr_scale < math.inf:
            raise ConfigError(
                f"encoder_lr_scale={encoder_lr_scale} must be 0 or more and layer_decay={layer_decay} in (0, 1] "
                "(model.encoder_lr_scale, model.layer_decay)"
            )
        if layer_decay != 1 and isinstance(encoder, StepEncoder):
            raise ConfigError(
                f"layer_decay={layer_decay} needs the blocks of a ViTEncoder; set it to 1 for a "
                f"{type(encoder).__name__} (model.layer_decay)"
            )
        if not 0 <= mse_weight < math.inf:
            raise ConfigError(f"mse_weight={mse_weight} is below 0 or not finite (model.mse_weight)")
        self.save_settings()
        self.subjects = subjects
        filters = 2 * -(-channels // encoder.patch[0]) if isinstance(encoder, ViTEncoder) else 0
        self.aligner = Aligner(
            encoder, audio, len(subjects), channels, features, width, spatial_pooling,
            filters, kernel, depth, dropout, similarity, centre, subject_layer,
            whitening, target, spectral_flattening, matched_filters,
        )  # fmt: skip
        self.loss = InfoNCE() if loss is None else loss
        self.encoder_lr_scale, self.layer_decay, self.audio_weights = encoder_lr_scale, layer_decay, audio_weights
        self.train_on, self.subject_dropout = train_on, subject_dropout
        if encoder_lr_scale == 0:
            encoder.requires_grad_(False).eval()  # without dropout, and with the statistics of batch norms as they are
        names = ("val", *TEST_SPLITS)
        self.retrieval = nn.ModuleDict({name: Retrieval() for name in names})
        self.mse_weight = mse_weight
        self.token_errors = nn.ModuleDict({name: NormalizedMSE() for name in names} if target == "loa" else {})
        """Normalized error of the predicted tokens by split; empty where no tokens are predicted."""

    @property
    def encoder(self) -> ViTEncoder | StepEncoder:
        """The EEG encoder, which later stages start from."""
        return self.aligner.encoder

    @property
    def parts(self) -> dict[str, tuple[nn.Module, dict[str, Any]]]:
        """The encoder and the aligner that contains it."""
        return {**super().parts, "aligner": (self.aligner, self.aligner.description)}

    def lr_scale(self, name: str) -> float:
        """Lower in the EEG encoder: by ``encoder_lr_scale``, and by ``layer_decay`` per block towards the input."""
        inner = name.removeprefix("aligner.encoder.")
        if inner == name:
            return 1.0
        if isinstance(self.encoder, StepEncoder):
            return self.encoder_lr_scale
        depth = len(self.encoder.blocks.blocks)
        block = int(inner.split(".")[2]) if inner.startswith("blocks.blocks.") else -1
        return self.encoder_lr_scale * self.layer_decay ** (depth - 1 - block)

    def setup(self, stage: str) -> None:
        """Load the weights that the run starts from, and match the subjects of the data with those of the model."""
        super().setup(stage)
        if stage == "fit" and self.audio_weights is not None:
            from_hub = str(self.audio_weights).startswith(HUB)
            if not from_hub and not Path(self.audio_weights).exists():
                raise ConfigError(
                    f"{self.audio_weights}: no such checkpoint or folder (model.audio_weights); train the small audio "
                    "encoder first, `eeg2speech fit --config configs/audiomae.yaml`, or set it to null"
                )
            self.aligner.audio.load(self.audio_weights)
        if stage == "fit":
            self.inherit(records_of(self.aligner.audio.source))
        self.subject_index = torch.tensor(self.data_info.indices_in(self.subjects, self.subjects), device=self.device)

    def on_fit_start(self) -> None:
        """Fit on training windows what has no gradient: the mean subject layer, the whitening, the scale of tokens."""
        super().on_fit_start()
        if self.train_on == "shuffled" and self.trainer.world_size > 1:
            # each device shuffles its own sounds, so a window's true sound would be likelier than one of another device
            raise ConfigError("train_on=shuffled needs the whole batch on one device: set trainer.devices to 1")
        data = self.data_info.training_windows
        self._check_contrast(data.batch_size * self.trainer.world_size, data.sounds_in("train"))
        trained = {self.subjects.index(name) for name in data.subjects_of("train")}
        if self.aligner.subject_layer is not None:
            self.aligner.subject_layer.mark_trained(trained)
        if self.aligner.whitening is not None:
            covariances = Covariances(len(self.subjects), self.aligner.channels)
            for batch in data.batches("train", WHITENED):
                covariances.add(batch["eeg"], self.subject_index.cpu()[batch["subject"]], batch["channel_mask"])
            for subject in trained:
                self.aligner.whitening.fit(subject, covariances.mean(subject), training=True)
        if self.aligner.flattening is not None and not self.aligner.flattening.fitted:
            powers = [torch.fft.rfft(b["eeg"].double()).abs().square() for b in data.batches("train", WHITENED)]
            self.aligner.flattening.fit(torch.cat([power.mean(1) for power in powers]).mean(0))
        matched = self.aligner.matched
        if matched is not None and not bool(matched.fitted.any()):  # a resumed run has its filters
            self._check_matched(data, matched.components)
            penalty = fit_matched_filters(
                matched, self._matched_windows("train"), self._matched_windows("val"), self.train_on == "shuffled"
            )
            rank_zero_info(
                "Matched filters are not used: no response was found in the validation windows"
                if penalty is None
                else f"Matched filters of {int(matched.fitted.sum()) - 1} subjects, penalty {penalty:g}"
            )
        if isinstance(self.aligner.sound_head, LOAScale):
            sounds = (batch["audio"].to(self.device) for batch in data.batches("train", SCALED))
            self.aligner.sound_head.fit(self.aligner.audio(sound) for sound in sounds)

    def _check_matched(self, data: EEGAudioDataModule, components: int) -> None:
        """Check that the data suit matched filters: one montage, and EEG windows that begin with the sound."""
        recordings = {window.recording for dataset in data.datasets.values() for window in dataset.windows}
        montages = {tuple(data.channel_names(recording)) for recording in recordings}
        if len(montages) > 1:
            raise ConfigError(
                f"matched_filters={components}: channel i has to be the same electrode everywhere, but the recordings "
                f"have {len(montages)} lists of channels; set it to 0 (model.matched_filters)"
            )
        if data.lag > LATEST:
            raise ConfigError(
                f"matched_filters={components} finds responses that begin after the start of the EEG window, with "
                f"lag={data.lag} they begin before it; set data.lag to {LATEST} or less, or model.matched_filters to 0"
            )

    def _matched_windows(self, split: SplitName) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """EEG as the matched filters receive it, sound and subject of windows, which overlap by about a third."""
        data = self.data_info.training_windows
        if split == "train":
            covered = covered_samples(data.datasets[split].windows, data.samples)
            most = min(math.ceil(1.5 * covered / data.samples), MATCHED)
        else:
            most = WHITENED
        for number, batch in enumerate(data.batches(split, most)):
            # the batches have no seeds of their own, without which all windows would be replaced by the same noise
            first = number * data.batch_size
            seeds = [mix(MATCHED_KEY, int(split == "train"), first + row) for row in range(len(batch["seed"]))]
            batch = {**batch, "seed": torch.tensor(seeds)}
            if self.train_on != "shuffled":  # the fit permutes the sounds of all windows
                batch = apply_train_on(batch, self.train_on)
            batch = self.transfer_batch_to_device(batch, self.device, 0)
            eeg, _, exists, subject = eeg_arguments(batch, self.subject_index)
            finite = eeg.isfinite().flatten(1).all(1)  # training skips such windows too
            eeg = self.aligner.flattened(eeg, exists)
            if finite.any():
                yield eeg[finite], batch["audio"][finite], subject[finite]

    def _check_contrast(self, windows: int, sounds: int) -> None:
        """Check that a window of EEG is compared with other sounds than its own, unless tokens are predicted.

        Args:
            windows: Windows of a step, on all devices.
            sounds: Different sounds in training.
        """
        if self.token_errors and self.mse_weight:
            return
        if windows < 2:
            raise ConfigError(
                "batch_size=1 gives a window no other sound to compare with, and nothing is learned; use 2 or more "
                "(data.batch_size)"
            )
        if sounds < 2:
            raise ConfigError(
                "all training windows have the same sound: there is no other to compare it with, and nothing is "
                "learned; use a shorter window (data.window), more stimuli (data.train_fraction, data.conditions) "
                "or another data.split"
            )

    def embed_eeg(self, batch: Batch) -> Tensor:
        """Unit vectors of the EEG of a batch, (B, K)."""
        return self.aligner.embed_eeg(*self._eeg_of(batch))

    def _eeg_of(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
        """Arguments of the aligner's EEG side, with subject dropout in training."""
        eeg, positions, exists, subject = eeg_arguments(batch, self.subject_index)
        if self.training and self.subject_dropout:
            drawn = [mix(seed, SUBJECT_DROPOUT_KEY) < self.subject_dropout * 2**63 for seed in batch["seed"].tolist()]
            subject = subject.masked_fill(torch.tensor(drawn, device=self.device), -1)
        return eeg, positions, exists, subject

    def step(self, batch: Batch, stage: Stage, split: str) -> dict[str, Any]:
        """Embed EEG and sounds, and compare all pairs."""
        if not batch["audio"].shape[1]:
            raise ConfigError("alignment needs sound: set data.audio to true")
        if stage == "train":
            batch = apply_train_on(batch, self.train_on)
        predicted, target = self.aligner.eeg_steps(*self._eeg_of(batch)), self.aligner.sound_steps(batch["audio"])
        eeg, sound, key = self.aligner.embed(predicted), self.aligner.embed(target), sound_keys(batch)
        outputs = {"loss": self.loss(eeg, sound, key), "eeg": eeg, "sound": sound}
        if self.token_errors:
            outputs["loa_error"] = F.mse_loss(predicted.float(), target)
            outputs["loss"] = outputs["loss"] + self.mse_weight * outputs["loa_error"]
        if stage != "train":
            self._retrieval(split).update(eeg, sound, key, batch["subject"], batch["stimulus"], batch["sound_start"])
            if self.token_errors:
                self._token_error(split).update(predicted, target, torch.ones_like(target))
        return outputs

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Log the learned scale of the logits, and the error of the predicted tokens."""
        if self.aligner.matched is not None:
            self.log("train/matched_share", self.aligner.matched.share.sigmoid())
        scale = getattr(self.loss, "scale", None)
        if isinstance(scale, Tensor):
            self.log("train/logit_scale", scale)
        if "loa_error" in outputs:
            self.log("train/loa_error", outputs["loa_error"])

    def on_validation_epoch_end(self) -> None:
        """Log retrieval over the whole validation split."""
        self._log_retrieval("val", "val")

    def on_test_epoch_end(self) -> None:
        """Log retrieval over each test split."""
        for split in TEST_SPLITS:
            if self._retrieval(split).update_called:
                self._log_retrieval(split, f"test/{split}")

    def _log_retrieval(self, split: str, prefix: str) -> None:
        metric = self._retrieval(split)
        found = metric.compute()
        if self.token_errors:
            found["loa_error"] = self._token_error(split).compute()
        for name, value in found.items():  # sync_dist: a checkpoint monitors one of them, the same on all ranks
            self.log(f"{prefix}/{name}", value, sync_dist=True)
        if prefix == "val":
            for name, value in metric.chance().items():
                self.log(f"val/{name}/chance", value, sync_dist=True)
            metric.reset()
            if self.token_errors:
                self._token_error(split).reset()

    def _retrieval(self, split: str) -> Retrieval:
        return cast(Retrieval, self.retrieval[split])

    def _token_error(self, split: str) -> NormalizedMSE:
        return cast(NormalizedMSE, self.token_errors[split])
