#!/usr/bin/env bash
# The end-to-end tests on the cluster of `make kind-up`, with nothing stood in for: `make kind-e2e`.
set -euo pipefail
cd "$(dirname "$0")/../.."
config=$(mktemp)
trap 'rm -f "$config"' EXIT
kubectl config view --raw --minify --context "${CONTEXT:-kind-loopwright}" > "$config"
export KUBECONFIG=$config LOOPWRIGHT_E2E=kserve
node=$(kubectl get nodes -o jsonpath='{.items[0].status.addresses[?(@.type=="InternalIP")].address}')
port=$(kubectl -n envoy-gateway-system get service -l gateway.envoyproxy.io/owning-gateway-name=gateway \
    -o jsonpath='{.items[0].spec.ports[0].nodePort}')
export LOOPWRIGHT_E2E_ADDRESS=$node:$port
.venv/bin/python -m pytest -q tests/manifests/test_server.py "${@:-tests/e2e}"
