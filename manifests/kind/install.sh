#!/usr/bin/env bash
# What Loopwright needs on the cluster of KUBECONFIG: the Gateway API with Envoy Gateway, Argo Workflows, KServe, and,
# with WITH_PROMETHEUS=1, Prometheus' operator with Alertmanager and Grafana. The versions are versions.env's.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=versions.env
source "$here/versions.env"
python=${PYTHON:-python3}

helm upgrade --install eg oci://docker.io/envoyproxy/gateway-helm --version "$GATEWAY" \
    --namespace envoy-gateway-system --create-namespace --wait --timeout 5m
kubectl apply -f "$here/gateway.yaml"
kubectl -n envoy-gateway-system wait gateway/gateway --for=condition=Programmed --timeout=5m

kubectl create namespace argo --dry-run=client -o yaml | kubectl apply -f -
kubectl apply --server-side -n argo \
    -f "https://github.com/argoproj/argo-workflows/releases/download/$ARGO/install.yaml"
kubectl -n argo rollout status deployment/workflow-controller --timeout=5m

kubectl apply -f "https://github.com/cert-manager/cert-manager/releases/download/$CERT_MANAGER/cert-manager.yaml"
kubectl -n cert-manager wait deployment --all --for=condition=Available --timeout=5m
kubectl apply --server-side --force-conflicts \
    -f "https://github.com/kserve/kserve/releases/download/$KSERVE/kserve.yaml"
patch=$(mktemp)
trap 'rm -f "$patch"' EXIT
kubectl -n kserve get configmap inferenceservice-config -o json | "$python" "$here/kserve-config.py" > "$patch"
kubectl -n kserve patch configmap inferenceservice-config --patch-file "$patch"
kubectl -n kserve rollout restart deployment/kserve-controller-manager
kubectl -n kserve rollout status deployment/kserve-controller-manager --timeout=5m

if [ "${WITH_PROMETHEUS:-}" = 1 ]; then
    helm upgrade --install prometheus kube-prometheus-stack --version "$PROMETHEUS_STACK" \
        --repo https://prometheus-community.github.io/helm-charts --namespace monitoring --create-namespace \
        --wait --timeout 10m
fi
