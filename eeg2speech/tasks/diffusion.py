from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from eeg2speech.checkpoints.parts import read_data, read_part
from eeg2speech.checkpoints.training_record import Material, TrainingRecord
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.seeding import mix
from eeg2speech.core.types import Batch, SplitName
from eeg2speech.losses.mse import DiffusionLoss
from eeg2speech.models import StepEncoder, ViTEncoder
from eeg2speech.models.audio.cached import without_cache
from eeg2speech.models.audio.encoder import AudioEncoder
from eeg2speech.models.audio.step_regression import RegressionMoments, StepRegression, fit_step_regression
from eeg2speech.models.audioldm2.condition import Condition
from eeg2speech.models.audioldm2.rebuild import load_audio_weights
from eeg2speech.models.audioldm2.sampling import Sampler
from eeg2speech.models.audioldm2.speech import SpeechDiffusion
from eeg2speech.models.audioldm2.unet import Trainable
from eeg2speech.models.rebuild import build_aligner, rebuild_aligner
from eeg2speech.models.registry import describe
from eeg2speech.tasks.base import Stage, Task, eeg_arguments
from eeg2speech.tasks.provenance import records_of
from eeg2speech.tasks.training_data import DataInfo

NOISE = 0x6E6F697365
"""Key of the random noise, time and condition dropout of a window."""
FITTED: dict[SplitName, int] = {"train": 2000, "val": 500}
"""Most windows that regressions are fitted and their penalties chosen on, evenly spread."""


class DiffusionTask(Task):
    """Stage 3: fine-tune AudioLDM 2 to generate, from EEG, the speech that was heard.

    Reference: Liu et al. 2024, AudioLDM 2 (IEEE/ACM TASLP 32, 2871-2883).

    Args:
        samples: EEG samples of a window; linked from the data module.
        subjects: Labels of the subjects in the data; linked from the data module.
        audio: Encoder whose tokens are the LOA of a sound; its weights are frozen.
        aligner: Folder or checkpoint of stage 2.
        components: UNet, autoencoder, vocoder and noise schedule: ``tiny``, the set that comes with the package, a
            folder, or a hub id as ``hf_hub:anhnct/audioldm2_gigaspeech``.
        audio_weights: Weights of ``audio``; unset: those that come with the components.
        trainable: What of the UNet is trained: ``lora`` adapters on its attentions, ``cross``-attention, ``all`` or
            ``none``.
        rank: Rank of the adapters.
        concat_channels: Channels concatenated with the noisy latents, in time with the EEG; 0 for none.
        checkpointing: Compute activations of the UNet twice, to save memory.
        cache: Keep latents of training sounds on disk; useful where windows are cut on a grid.
        cond_dropout: Share of training windows without a condition, for classifier-free guidance.
        min_snr_gamma: Signal-to-noise ratio at which weights of the loss are clipped; 0 weights all times equally.
        loa_weight: Weight of the squared error of the predicted LOA, in units of its variance, relative to the
            diffusion loss.
        encoder_lr_scale: Learning rate of the EEG side as a multiple; 0 freezes it.
        encoder_freeze_fraction: Share of the run at its start during which the EEG side is frozen.
        sampler: How clips are generated.
        optimizer: Makes the optimizer from parameter groups.
        warmup: Share of the run's steps over which the learning rate rises.
        reference_batch: Windows per step that the learning rate is meant for; 0: no scaling.
        aligner_config: Description of the aligner that checkpoints contain instead of its folder; do not set it in
            configs.

    Raises:
        ConfigError: Settings do not fit one another.
        DataError: A part that is named is missing or damaged.
    """

    def __init__(
        self,
        samples: int,
        subjects: list[str],
        audio: AudioEncoder,
        aligner: Path | None = None,
        components: str = "tiny",
        audio_weights: str | None = None,
        trainable: Trainable = "lora",
        rank: int = 8,
        concat_channels: int = 0,
        checkpointing: bool = False,
        cache: bool = False,
        cond_dropout: float = 0.1,
        min_snr_gamma: float = 5.0,
        loa_weight: float = 1.0,
        encoder_lr_scale: float = 0.0,
        encoder_freeze_fraction: float = 0.5,
        sampler: Sampler = Sampler(),  # noqa: B008
        optimizer: OptimizerCallable = torch.optim.AdamW,
        warmup: float = 0.05,
        reference_batch: int = 16,
        aligner_config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(optimizer, warmup, reference_batch, None)
        if (
            not 0 <= cond_dropout < 1
            or not 0 <= encoder_freeze_fraction < 1
            or not 0 <= encoder_lr_scale < math.inf
            or not loa_weight >= 0
        ):
            raise ConfigError(
                f"cond_dropout={cond_dropout} and encoder_freeze_fraction={encoder_freeze_fraction} must be in "
                f"[0, 1), encoder_lr_scale={encoder_lr_scale} and loa_weight={loa_weight} 0 or more "
                "(model.cond_dropout, model.encoder_freeze_fraction, model.encoder_lr_scale, model.loa_weight)"
            )
        self.save_settings()
        weights: dict[str, Tensor] | None = None
        if aligner_config is None:
            aligner_config, weights = _read_aligner(aligner)
        self.hparams["aligner_config"] = aligner_config
        self.aligner_config, self.subjects = aligner_config, list(aligner_config["subjects"])
        self.data_subjects = subjects
        source = str(aligner)
        if weights is None:
            built = build_aligner(aligner_config, source)
        else:
            built = rebuild_aligner(aligner_config, weights, source)
        if samples % built.encoder.samples:
            raise ConfigError(
                f"window of {samples} samples is not a whole number of steps of {built.encoder.samples} (data.window)"
            )
        load_audio_weights(audio, audio_weights, components)
        self.audio_weights = audio_weights
        self.model = SpeechDiffusion(components, audio, built, trainable, rank, concat_channels, checkpointing, cache)
        built.requires_grad_(encoder_lr_scale > 0)
        if built.matched is not None:  # it weights similarities, which stage 3 does not compute
            built.matched.share.requires_grad_(False)
        # a checkpoint holds its aligner's weights and records; the folder may now hold another aligner
        of_aligner = [] if weights is None else records_of(aligner)
        self.inherit([*of_aligner, *records_of(audio.source), *self._of_components(components)])
        self.sampler, self.loss = sampler, DiffusionLoss(min_snr_gamma)
        self.cond_dropout, self.loa_weight = cond_dropout, loa_weight
        self.encoder_lr_scale, self.encoder_freeze_fraction = encoder_lr_scale, encoder_freeze_fraction

    def _of_components(self, name: str) -> list[TrainingRecord]:
        """Training record of the components, where they list the sounds that they were trained on."""
        sounds = self.model.trained_sounds
        return [TrainingRecord(f"components {name}", "sound", Material(sounds))] if sounds else []

    @property
    def encoder(self) -> ViTEncoder | StepEncoder:
        """The EEG encoder."""
        assert self.model.aligner is not None
        return self.model.aligner.encoder

    @property
    def parts(self) -> dict[str, tuple[nn.Module, dict[str, Any]]]:
        """The EEG encoder, and the whole model without the weights of the components and of the audio encoder."""
        return {**super().parts, "speech": (self.model, self.description)}

    @property
    def description(self) -> dict[str, Any]:
        """Class and settings that rebuild the model, in plain values."""
        model, wanted = self.model, ("trainable", "rank", "concat_channels")
        return {
            "class": type(model).__name__,
            "config": {
                "components": model.source, "fingerprint": model.fingerprint,
                "audio": describe(without_cache(model.audio)),
                "audio_weights": self.audio_weights, "audio_fingerprint": model.audio_fingerprint,
                "aligner": self.aligner_config,
                "sampler": asdict(self.sampler),
                **{name: self.hparams[name] for name in wanted if name in self.hparams},
            },
        }  # fmt: skip

    def lr_scale(self, name: str) -> float:
        """Lower on the EEG side."""
        return self.encoder_lr_scale if name.startswith("model.aligner.") else 1.0

    def setup(self, stage: str) -> None:
        """Match the subjects of the data with those of the aligner."""
        super().setup(stage)
        self.locate_subjects(self.data_info)

    def locate_subjects(self, data: DataInfo) -> None:
        """Set the index of each subject of the data in the aligner, -1 for a subject it was not trained on."""
        indices = data.indices_in(self.subjects, self.data_subjects)
        self.subject_index = torch.tensor(indices, device=self.device)

    def train(self, mode: bool = True) -> DiffusionTask:
        """Set the training mode of the parts that are trained; frozen parts stay in evaluation mode."""
        super().train(mode)
        for part in (self.model.vae, self.model.vocoder, self.model.audio):
            part.eval()
        if self.model.aligner is not None and not self.encoder_lr_scale:
            self.model.aligner.eval()
        return self

    @torch.no_grad()
    def on_fit_start(self) -> None:
        """Fit the regressions from the aligner's space to LOA and to mel spectrograms on training windows."""
        super().on_fit_start()
        self.train()  # components are loaded in evaluation mode
        unfitted = {name: part for name, part in self._regressions.items() if not bool(part.fitted)}
        if unfitted:
            self._fit_regressions(unfitted)

    def on_validation_epoch_start(self) -> None:
        """Fit the regression to mel spectrograms again where the EEG side is trained."""
        if self.encoder_lr_scale and self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            self._fit_regressions({name: part for name, part in self._regressions.items() if name == "mel"})

    @property
    def _regressions(self) -> dict[str, StepRegression]:
        parts = {"LOA": self.model.readout, "mel": self.model.mel_regression}
        return {name: part for name, part in parts.items() if part is not None}

    @torch.no_grad()
    def _fit_regressions(self, regressions: Mapping[str, StepRegression]) -> None:
        training, model = self.training, self.model
        self.eval()
        moments: dict[SplitName, dict[str, RegressionMoments]] = {}
        for split, most in FITTED.items():
            sums = {name: RegressionMoments.of(part) for name, part in regressions.items()}
            for batch in self.data_info.training_windows.batches(split, most):
                batch = self.transfer_batch_to_device(batch, self.device, 0)
                steps, audio = self._steps_of(batch), batch["audio"]
                for name, of in sums.items():
                    target = model.loa_of_sound(audio) if name == "LOA" else model.mel_of_sound(audio)
                    of.add(steps, target.reshape(*steps.shape[:2], -1))
            moments[split] = sums
        self.train(training)
        for name, part in regressions.items():
            if not moments["train"][name].count:
                raise DataError(
                    f"no training window has finite EEG embeddings and {name}: look for damaged recordings in the "
                    "store (data.store), or train stage 2 again (model.aligner)"
                )
            penalty, explained = fit_step_regression(moments["train"][name], moments["val"][name])
            # devices may round differently and choose different penalties
            part.load_state_dict(self.trainer.strategy.broadcast(part.state_dict()))
            used = "validation" if moments["val"][name].count else "training"
            rank_zero_info(
                f"Regression from EEG to {name} explains {explained:.3f} of the variance in {used} windows "
                f"(penalty {penalty:g})"
            )

    @torch.no_grad()
    def regress(self, batch: Batch) -> Tensor:
        """Sound at 16 kHz by linear regression from EEG to mel spectrograms and the vocoder, (B, S)."""
        return self.model.vocode(self.model.mel_of_steps(self._steps_of(batch)))

    def condition_of(self, batch: Batch) -> Condition:
        """What speech is generated from, by the EEG of a batch."""
        return self.model.condition(self._steps_of(batch))

    def _steps_of(self, batch: Batch) -> Tensor:
        return self.model.eeg_steps(*eeg_arguments(batch, self.subject_index))

    def step(self, batch: Batch, stage: Stage, split: str) -> dict[str, Any]:
        """Add noise to the latents of the sounds and predict it, conditioned on the EEG."""
        audio, model = batch["audio"], self.model
        if not audio.shape[1]:
            raise ConfigError("diffusion needs sound: set data.audio to true")
        latents = model.latents(audio)
        noise, time, dropped = self._drawn(batch["seed"].tolist(), latents)
        frozen = stage != "train" or not self.encoder_lr_scale
        with torch.set_grad_enabled(torch.is_grad_enabled() and not (frozen and model.readout is None)):
            loa = model.loa_of_steps(self._steps_of(batch))
        true = model.loa_of_sound(audio)
        error = (loa - true).square().mean() / (true - true.mean((0, 1), keepdim=True)).square().mean()
        if stage != "train":
            dropped = None
        scheduler: Any = model.scheduler
        noisy = scheduler.add_noise(latents, noise, time)
        predicted = model.predict(noisy, time, model.conditioner(loa, dropped))
        signal = scheduler.alphas_cumprod.to(latents)[time]
        diffusion = self.loss(predicted, latents, noise, signal, scheduler.config.prediction_type)
        self._log_part(split, stage, "diffusion_loss", diffusion, len(audio))
        self._log_part(split, stage, "loa_error", error, len(audio))
        return {"loss": diffusion + self.loa_weight * error, "loa": loa}

    def _log_part(self, split: str, stage: Stage, name: str, value: Tensor, count: int) -> None:
        """Log one term of the loss."""
        if stage == "train":
            self.log(f"train/{name}", value.detach(), batch_size=count)
        else:
            self.log_mean(f"test/{split}/{name}" if stage == "test" else f"{split}/{name}", value, count)

    def _drawn(self, seeds: Sequence[int], latents: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Noise, time and whether the condition is dropped, each drawn by the window's own seed."""
        noise, times, dropped = [], [], []
        for seed in seeds:
            random = torch.Generator().manual_seed(mix(seed, NOISE))
            times.append(torch.randint(0, len(self.model.scheduler.betas), (), generator=random))
            dropped.append(torch.rand((), generator=random) < self.cond_dropout)
            noise.append(torch.randn(latents.shape[1:], generator=random))
        to = latents.device
        return torch.stack(noise).to(to), torch.stack(times).to(to), torch.stack(dropped).to(to)

    @torch.no_grad()
    def generate(
        self, condition: Condition | None, seeds: Sequence[int], steps: int, start: float | None = None
    ) -> Tensor:
        """Generate sound at 16 kHz, (B, S).

        Args:
            condition: Of the clips; None for unconditional clips.
            seeds: Seed of each clip.
            steps: Number of steps of 160 ms, L.
            start: Replaces that of the sampler.
        """
        sampler = self.sampler if start is None else replace(self.sampler, start=start)
        return self.model.waveform(sampler.sample(self.model, condition, steps, seeds))

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Generate a clip for each window of EEG, by the window's own seed."""
        condition = self.condition_of(batch)
        return {"speech": self.generate(condition, batch["seed"].tolist(), condition.loa.shape[1])}

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Drop the gradients of the EEG side while it is frozen (``encoder_freeze_fraction``)."""
        if self.encoder_lr_scale and self.model.aligner is not None:
            total = self.trainer.estimated_stepping_batches
            if self.trainer.global_step < self.encoder_freeze_fraction * total:
                for parameter in self.model.aligner.parameters():
                    parameter.grad = None
        super().on_before_optimizer_step(optimizer)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out the weights of the components and of the audio encoder, which are read from their own files."""
        super().on_save_checkpoint(checkpoint)
        frozen = {f"model.{name}" for name in self.model.frozen_names}
        checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if k not in frozen}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Fill in the weights that were left out."""
        config = checkpoint.get("parts", {}).get("speech", {}).get("config", {})
        fingerprints = config.get("fingerprint", ""), config.get("audio_fingerprint")
        self.model.check_fingerprint(fingerprints[0], "the checkpoint", fingerprints[1])
        own = {name: value for name, value in self.state_dict().items() if _plain_name(name) in self.model.frozen_names}
        checkpoint["state_dict"] = {**own, **checkpoint["state_dict"]}
        of_parts = self.training_records or []  # of the components and the audio encoder
        super().on_load_checkpoint(checkpoint)
        if self.training_records is not None:
            self.inherit(of_parts)


def _plain_name(name: str) -> str:
    return name.removeprefix("model.").replace("_orig_mod.", "")


def _read_aligner(aligner: Path | None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Description of stage 2's aligner, with the labels of its subjects, and its weights."""
    if aligner is None or not aligner.exists():
        raise ConfigError(
            f"{aligner}: no such checkpoint or folder (model.aligner); train stage 2 first, `eeg2speech fit --config "
            "configs/alignment.yaml`, and name its run's folder aligner/"
        )
    try:
        aligner_config, weights, _ = read_part(aligner, "aligner")
    except DataError as error:
        raise DataError(f"{error}; stage 3 needs an aligner from stage 2 (model.aligner)") from error
    subjects = read_data(aligner).get("subjects", [])
    return {**aligner_config, "subjects": [str(name) for name in subjects]}, weights
