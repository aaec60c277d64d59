#!/usr/bin/env bash
# A cluster of one node on this machine, with what Loopwright needs and its images: `make kind-up`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
# shellcheck source=versions.env
source "$here/versions.env"
cluster=loopwright version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

for command in docker kind kubectl helm; do
    command -v $command >/dev/null || { echo "there is no $command; install it first (kind $KIND)" >&2; exit 1; }
done
kind version | grep -q " $KIND " || echo "this is $(kind version); $KIND is what was pinned"
mkdir -p examples/churn/data /tmp/loopwright-e2e
[ -n "$(ls examples/churn/data)" ] || .venv/bin/python examples/churn/generator.py --to examples/churn/data
kind get clusters | grep -qx $cluster || kind create cluster --config kind-config.yaml --wait 3m
kubectl config use-context kind-$cluster >/dev/null
for image in trigger component-python predictor monitor; do
    kind load docker-image "loopwright/$image:$version" --name $cluster
done
"$here/install.sh"
.venv/bin/loopwright doctor --cluster || true
echo "next: make kind-e2e, or kubectl apply -k manifests/overlays/kind"
