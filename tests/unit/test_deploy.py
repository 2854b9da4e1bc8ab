"""The Kubernetes manifests: they build, keep to the API's schemas, and give nothing away."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from sandbox_server.docker_launcher import seccomp_profile

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "sandbox_server" / "deploy"
#: The oldest that has sidecars switched on, and the newest that the schemas are there for.
VERSIONS = ("1.29", "1.37")

Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def manifests() -> dict[str, Manifest]:
    """What the base builds to, by kind."""
    yaml = pytest.importorskip("yaml")
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    built = subprocess.run(
        ["kubectl", "kustomize", DEPLOY / "base"], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    found = {document["kind"]: document for document in yaml.safe_load_all(built.stdout)}
    assert len(found) == built.stdout.count("\nkind: ")
    return found


@pytest.fixture(scope="module")
def pod(manifests: dict[str, Manifest]) -> Manifest:
    spec: Manifest = manifests["Deployment"]["spec"]["template"]["spec"]
    return spec


def _containers(pod: Manifest) -> list[Manifest]:
    return [*pod["containers"], *pod["initContainers"]]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_keeps_to_the_schema(manifests: dict[str, Manifest], version: str) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    assert len(manifests) == 5
    for manifest in manifests.values():
        validator.validate(manifest, version, strict=True)


def test_the_schemas_find_what_is_wrong(manifests: dict[str, Manifest]) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    wrong = {**manifests["Service"], "spec": {"clusterIp": "None"}}
    with pytest.raises(validator.ValidationError):
        validator.validate(wrong, VERSIONS[0], strict=True)


def test_every_container_is_hardened(pod: Manifest) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    for container in _containers(pod):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert "privileged" not in context
        assert {"cpu", "memory"} <= set(container["resources"]["limits"])


def test_no_volume_is_of_the_node(pod: Manifest) -> None:
    assert [set(volume) for volume in pod["volumes"]] == [{"name", "emptyDir"}] * 2
    assert all(volume["emptyDir"]["medium"] == "Memory" for volume in pod["volumes"])


def test_there_is_a_sidecar_with_a_socket_of_its_own_for_each_language(pod: Manifest) -> None:
    assert "python" in {container["name"] for container in pod["initContainers"]}
    for container in pod["initContainers"]:
        assert container["restartPolicy"] == "Always"
        assert container["image"].startswith(f"plum-sandbox-{container['name']}:")
        assert container["env"] == [{"name": "LANGUAGE", "value": container["name"]}]
        assert "--socket=/run/plum/$(LANGUAGE).sock" in container["args"]
        assert container["securityContext"]["seccompProfile"]["type"] == "Localhost"


def test_probes_are_those_of_grpc(pod: Manifest) -> None:
    (gateway,) = pod["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert gateway[probe]["grpc"]["port"] == 50061


def test_the_service_is_headless_and_traffic_is_denied_by_default(
    manifests: dict[str, Manifest],
) -> None:
    assert manifests["Service"]["spec"]["clusterIP"] == "None"
    policy = manifests["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []
    assert all(rule["from"] for rule in policy["ingress"])
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for selector in (
        manifests["Service"]["spec"]["selector"],
        manifests["Deployment"]["spec"]["selector"]["matchLabels"],
        manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        policy["podSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()


def test_the_workers_profile_for_nodes_is_the_docker_launchers() -> None:
    written = json.loads((DEPLOY / "seccomp" / "plum-worker.json").read_text(encoding="utf-8"))
    assert written == seccomp_profile()


def test_what_the_gateways_image_installs_is_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = {
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["sandbox"],
        *project["build-system"]["requires"],
    }
    lines = (DEPLOY / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {line for line in lines if not line.startswith("#")} <= asked
