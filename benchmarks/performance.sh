#!/bin/sh
# Measures everything that docs/performance.md states, on a machine that does nothing else.
#
#   ./dev run sh benchmarks/performance.sh [FOLDER]      (about 40 minutes on two cores)
#
# Tables and JSON go to FOLDER (default: performance), plots to docs/images too. Optional:
# CALIBRATION=folder/with/images adds int8, PREFIX='chrt --rr 1' a budget run with priority.
set -eu
# As `yolact` and the node set them.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}" GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-2000}"
cd "$(dirname "$0")/.."
out=${1:-performance}
images=docs/images
int8=
if [ -n "${CALIBRATION:-}" ]; then int8="--calibration $CALIBRATION"; fi
mkdir -p "$out" "$images"

measure() { # NAME COMMAND...: the output is kept and shown; one that fails does not stop the rest
  name=$1
  shift
  echo "== $name: $*"
  "$@" >"$out/$name.txt" 2>&1 || echo "failed with exit code $?"
  cat "$out/$name.txt"
}

runtimes="eager compiled openvino ncnn onnxruntime"
if [ -n "$int8" ]; then runtimes="$runtimes openvino:int8"; fi
# Names and options without blanks, split on purpose.
# shellcheck disable=SC2086
{
  measure bundled yolact benchmark --runtimes $runtimes $int8 --output "$out/bundled"
  for variant in yolact_resnet50 yolact_base; do
    measure "$variant" yolact benchmark --variant "$variant" --runtimes $runtimes $int8 \
      --rounds 10 --output "$out/$variant"
  done
  measure waterfall python benchmarks/waterfall.py --variant yolact_resnet50 --compiled $int8 \
    --output "$out/waterfall" --plot "$images/waterfall.png"
}
measure postprocess python benchmarks/postprocess.py
measure scaling yolact benchmark --scaling --runtimes openvino --output "$out/scaling"
cp "$out/scaling/scaling.png" "$images/scaling.png"
measure scaling_resnet50 yolact benchmark --scaling --variant yolact_resnet50 \
  --runtimes openvino --rounds 5 --rate 10 --output "$out/scaling_resnet50"
measure ros yolact benchmark --ros --runtimes openvino --output "$out/ros"
measure views python benchmarks/views.py
measure budget_live python benchmarks/budget_live.py --node-prefix "${PREFIX:-}" \
  --output "$out/budget_live" --plot "$images/budget_live.png"
