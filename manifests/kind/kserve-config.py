"""KServe's configuration, on standard input as JSON, made a patch: Standard mode behind the Gateway API's gateway."""

import json
import sys

data = json.load(sys.stdin)["data"]
changed = {
    "deploy": {"defaultDeploymentMode": "Standard"},
    "ingress": {
        "enableGatewayApi": True,
        "kserveIngressGateway": "envoy-gateway-system/gateway",
        "ingressDomain": "example.com",
    },
}
patch = {key: json.dumps(json.loads(data[key]) | wanted) for key, wanted in changed.items()}
json.dump({"data": patch}, sys.stdout)
