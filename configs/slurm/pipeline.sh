#!/bin/bash
# Submits the stages; each starts when the earlier ones have succeeded, and loads their results from the run folders.
#   configs/slurm/pipeline.sh STORE FOLDER [sbatch options, e.g. --nodes=2 --ntasks-per-node=8 --gpus-per-node=8]
# FOLDER gets maeeg, audiomae, alignment and diffusion, and the logs. Prints the ids of the jobs. A stage that is
# pre-empted keeps its id while it starts again, so the others wait for it; if one fails, those after it are cancelled.
# Submit the same line again to continue: every stage resumes from its own run folder.
#
# Options for single stages are in MAEEG, AUDIOMAE, ALIGNMENT and DIFFUSION, e.g. DIFFUSION="--config my/overlay.yaml".
# AUDIO_WEIGHTS names a trained audio encoder, so that none is trained. See stage.sbatch for other variables.
set -euo pipefail

store=$(realpath "${1:?give the prepared store}")
folder=$(realpath -m "${2:?give a folder for the runs}")
options=("${@:3}")
here=$(dirname "$(realpath "$0")")
configs=$(dirname "${here}")
export TRAINER=${TRAINER:-${configs}/trainer/slurm.yaml}
mkdir -p "${folder}"

submit() {  # stage, ids of the jobs to wait for as :1:2 or nothing, its own options; prints its id
    local stage=$1 before=$2 id
    shift 2
    id=$(sbatch --parsable --job-name="eeg2speech-${stage}" --output="${folder}/%x-%j.log" \
        ${before:+"--dependency=afterok${before}" --kill-on-invalid-dep=yes} "${options[@]}" "${here}/stage.sbatch" \
        --config "${configs}/${stage}.yaml" --data.store "${store}" --run "${folder}/${stage}" --ckpt_path auto "$@")
    echo "${id%%;*}"
}

# options of a stage are split at blanks on purpose
eeg=$(submit maeeg "" ${MAEEG:-})
before=:${eeg} sound=""
if [ -z "${AUDIO_WEIGHTS:-}" ]; then
    sound=$(submit audiomae "" ${AUDIOMAE:-})
    before+=:${sound} AUDIO_WEIGHTS=${folder}/audiomae/encoder
fi
aligned=$(submit alignment "${before}" --model.init_args.encoder_weights "${folder}/maeeg/encoder" \
    --model.init_args.audio_weights "${AUDIO_WEIGHTS}" ${ALIGNMENT:-})
speech=$(submit diffusion ":${aligned}" --model.init_args.aligner "${folder}/alignment/aligner" ${DIFFUSION:-})
echo ${eeg} ${sound} ${aligned} ${speech}
