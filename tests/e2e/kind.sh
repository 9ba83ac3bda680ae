#!/usr/bin/env bash
# Make the kind cluster, load the images and run the end-to-end tests on it: kind.sh [NODE_IMAGE [ipv4|dual]].
# Needs docker, kind, kubectl and Go on PATH, and the test requirements in the python that runs. The cluster stays;
# `kind delete cluster --name eem-guardrail` ends it.
set -euo pipefail
cd "$(dirname "$0")/../.."
node_image=${1:-}
family=${2:-ipv4}
cluster=eem-guardrail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sed "s/ipFamily: ipv4/ipFamily: $family/" tests/e2e/kind.yaml > "$work/kind.yaml"
kind create cluster --config "$work/kind.yaml" ${node_image:+--image "$node_image"} --wait 120s

image=$(sed -n 's/^ *image: \(eem-guardrail:.*\)$/\1/p' manifests/base/deployment.yaml)
docker build --quiet --tag "$image" .
# What the tests' pods are said to run: it holds the pod and does nothing.
(cd tests/controlplane && CGO_ENABLED=0 go build -trimpath -o "$work/pause" ./pause)
printf 'FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n' > "$work/Dockerfile"
stand_ins=(localhost/egw:e2e localhost/manager:e2e localhost/ibm-eem-operator:e2e)
for name in "${stand_ins[@]}"; do
  docker build --quiet --tag "$name" "$work"
done
kind load docker-image --name "$cluster" "$image" "${stand_ins[@]}"

python -m pytest -m e2e --cluster kind
