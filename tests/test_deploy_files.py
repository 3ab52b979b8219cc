"""``infra/deploy``: compose file, images, Kubernetes manifests and job templates, by schemas.

compose-spec reads compose files as strictly as the specification; kubernetes-validate carries the
cluster's own OpenAPI schemas. Neither asks a network.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cli_world import Say
from compose_spec import PyCompose
from prefect.utilities.templating import apply_values

from flows.deployments import pool_template
from infra.settings.environment import Environment
from sources.catalog import catalog
from tests.small_world import HOUSE

DEPLOY = HOUSE / "infra" / "deploy"
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
VERSION = kubernetes_validate.latest_version()
MANIFESTS = [
    (path.name, manifest)
    for path in KUBERNETES
    for manifest in yaml.safe_load_all(path.read_text())
    if manifest["kind"] != "Kustomization"
]
PODS = ("Deployment", "StatefulSet", "Job")
IMAGES = {"cxrflow-cpu:0.1.0", "cxrflow-gpu:0.1.0"}


def example_values() -> dict[str, str]:
    lines = (DEPLOY / "compose.env.example").read_text().splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {name: value for name, _, value in pairs}


def composed() -> dict[str, Any]:
    """The compose file with the example's values, as docker compose would fill them in."""
    values = example_values()

    def value(match: re.Match[str]) -> str:
        return values[match[1]]

    text = re.sub(r"\$\{(\w+)(?::[?-][^}]*)?\}", value, (DEPLOY / "compose.yaml").read_text())
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_the_compose_file_keeps_to_the_specification() -> None:
    document = composed()
    read = PyCompose.from_json(json.dumps(document))
    assert set(read.service_names()) == set(document["services"])
    read.validate()
    document["services"]["mlflow"]["prots"] = ["1:1"]
    with pytest.raises(ValueError, match="prots"):
        PyCompose.from_json(json.dumps(document))


def test_every_value_of_the_compose_file_has_an_example() -> None:
    used = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    assert used == set(example_values())
    assert set(example_values().values()) == {"CHANGE", "./raw"}


def test_containers_publish_on_loopback_and_files_they_mount_are_there() -> None:
    for name, service in composed()["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        for mount in service.get("volumes", ()):
            source = str(mount).partition(":")[0]
            if source.startswith("./") and source != "./raw":
                assert (DEPLOY / source).exists(), mount
        if service["image"] in IMAGES:
            assert service["user"] == "10001:10001", name
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_named_volumes_of_our_images_are_not_roots(kind: str) -> None:
    """Docker gives a new volume the owner of the image's folder, or root where there is none."""
    made = re.findall(
        r"install -d -o cxr -g cxr -m 700 (.+)", (DEPLOY / f"Dockerfile.{kind}").read_text()
    )
    ours = {
        str(mount).split(":")[1]
        for service in composed()["services"].values()
        if service["image"] in IMAGES
        for mount in service.get("volumes", ())
        if str(mount).partition(":")[0] in composed()["volumes"]
    }
    assert ours == {"/state", "/prefect"}
    assert set(made[0].split()) == ours


def test_workers_are_told_where_raw_data_is() -> None:
    example = (DEPLOY / "sources.env.example").read_text()
    named = re.findall(r"^# CXR_SOURCE_(\w+)=(/raw/\w+)$", example, re.MULTILINE)
    assert {name.lower() for name, _ in named} < set(catalog())
    for name in ("worker-cpu", "worker-gpu"):
        service = composed()["services"][name]
        assert service["env_file"] == [{"path": "sources.env", "required": False}]
        assert any(str(mount).endswith(":/raw:ro") for mount in service["volumes"])
    template = json.loads((DEPLOY / "pools" / "kubernetes.json").read_text())
    assert template["variables"]["properties"]["raw_volume"]["default"]["name"] == "raw"


def test_no_secret_gets_into_an_image() -> None:
    """Everything that the guide has made beside the code, which the images copy whole."""
    guide = (HOUSE / "docs" / "deploy.md").read_text()
    made = set(re.findall(r"[\w.]+\.(?:env|token)\b|tokens\.toml", guide))
    assert {"compose.env", "client.env", "prometheus.token", "tokens.toml"} <= made
    ignored = [
        line for line in (HOUSE / ".dockerignore").read_text().splitlines() if line[:1] != "#"
    ]
    for name in made:
        assert any(fnmatch(name, pattern) for pattern in ignored), name


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_images_are_the_ones_that_are_used_and_run_as_nobody_special(kind: str) -> None:
    text = (DEPLOY / f"Dockerfile.{kind}").read_text()
    steps = re.sub(r"\\\n", " ", text)
    words = [line.split()[0] for line in steps.splitlines() if line and not line.startswith("#")]
    assert set(words) <= {
        *("FROM", "ARG", "ENV", "RUN", "WORKDIR", "COPY", "USER"),
        *("HEALTHCHECK", "ENTRYPOINT", "CMD"),
    }
    assert f"cxrflow-{kind}:0.1.0" in text
    assert words.index("USER") > max(at for at, word in enumerate(words) if word == "RUN")
    assert "USER 10001:10001" in text
    copied = re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE)
    assert all((HOUSE / name).exists() for line in copied for name in line.split())


@pytest.mark.parametrize(("file", "manifest"), MANIFESTS)
def test_manifests_keep_to_kubernetes_schemas(file: str, manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, VERSION, strict=True)
    if manifest["kind"] != "Namespace":
        assert manifest["metadata"]["namespace"] == "cxrflow", file


def test_a_misspelt_field_is_found() -> None:
    bad = json.loads(json.dumps(next(one for _, one in MANIFESTS if one["kind"] == "Deployment")))
    bad["spec"]["template"]["spec"]["containers"][0]["imagePullPolicies"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(bad, VERSION, strict=True)


def pod_specs() -> list[tuple[str, dict[str, Any]]]:
    return [
        (manifest["metadata"]["name"], manifest["spec"]["template"]["spec"])
        for _, manifest in MANIFESTS
        if manifest["kind"] in PODS
    ]


@pytest.mark.parametrize(("name", "pod"), pod_specs())
def test_pods_pass_the_restricted_standard(name: str, pod: dict[str, Any]) -> None:
    """What the namespace enforces would else be found out on the cluster."""
    require_restricted(pod)


def require_restricted(pod: dict[str, Any]) -> None:
    context = pod["securityContext"]
    assert context["runAsNonRoot"]
    assert context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any("hostPath" in volume for volume in pod["volumes"])
    for container in pod["containers"]:
        own = container["securityContext"]
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert not own["allowPrivilegeEscalation"]
        assert own["readOnlyRootFilesystem"]
        assert container["resources"]["requests"]
        mounted = {mount["name"] for mount in container.get("volumeMounts", ())}
        claimed = {volume["name"] for volume in pod["volumes"]}
        assert mounted <= claimed | {"data"}


def test_the_kustomization_lists_every_manifest() -> None:
    listed = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())
    assert set(listed["resources"]) == {path.name for path in KUBERNETES} - {"kustomization.yaml"}


def test_every_pod_is_named_by_a_network_policy() -> None:
    policies = [one for _, one in MANIFESTS if one["kind"] == "NetworkPolicy"]
    by_name = {one["metadata"]["name"]: one["spec"] for one in policies}
    nothing = by_name["nothing-by-default"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    services = {one["metadata"]["name"] for _, one in MANIFESTS if one["kind"] == "Service"}
    reached = {
        "postgres",
        *by_name["servers-from-here"]["podSelector"]["matchExpressions"][0]["values"],
    }
    assert services <= reached


def test_no_secret_is_written_down() -> None:
    kinds = {manifest["kind"] for _, manifest in MANIFESTS}
    assert "Secret" not in kinds
    for _, manifest in MANIFESTS:
        text = json.dumps(manifest)
        assert not re.search(r'"(\w*PASSWORD|\w*SECRET_ACCESS_KEY|\w*AUTH_STRING)", "value"', text)


def filled(kind: Any, **values: Any) -> dict[str, Any]:
    """A job template with its defaults, as a worker fills it in."""
    template = pool_template(kind)
    fields = template["variables"]["properties"]
    known = {name: field["default"] for name, field in fields.items() if "default" in field}
    found: dict[str, Any] = apply_values(template["job_configuration"], {**known, **values})
    return found


def test_the_kubernetes_job_template_makes_a_job_that_the_namespace_admits() -> None:
    command = ["python", "-m", "prefect.engine"]
    told: dict[str, Any] = {"command": command, "name": "run", "labels": {}, "annotations": {}}
    told |= {"env": [{"name": "A", "value": "b"}], "cpu_limit": "8", "gpus": 2}
    manifest = filled("kubernetes", **told)["job_manifest"]
    kubernetes_validate.validate(manifest, VERSION, strict=True)
    require_restricted(manifest["spec"]["template"]["spec"])
    limits = manifest["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == 2


def test_the_slurm_job_template_asks_for_what_its_variables_say() -> None:
    command = filled("slurm", nodes=4, gpus=8, hours=12)["command"]
    assert command.startswith("salloc --job-name=cxrflow --nodes=4 --ntasks-per-node=1")
    assert "--gpus-per-node=8" in command
    assert "--time=12:00:00" in command
    assert "{{" not in command
    assert (DEPLOY / "slurm" / Path(command.split()[-1]).name).exists()


def test_the_slurm_script_tells_cxrflow_of_its_nodes(tmp_path: Path) -> None:
    """Slurm's two programs are stand-ins of the test: they say what a cluster would."""
    programs = {
        "scontrol": "printf 'node7\\nnode8\\n'",
        "srun": 'env | grep ^CXR_; echo "$@"',
    }
    for name, line in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    slurm = {"SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_NUM_NODES": "2"}
    said = subprocess.run(
        [shutil.which("bash") or "bash", str(DEPLOY / "slurm" / "flow_run.sh")],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_GPUS_ON_NODE": "8", **slurm},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    told = dict(line.split("=", 1) for line in said if line.startswith("CXR_"))
    assert told["CXR_NODES"] == "2"
    assert told["CXR_PROCESSES_PER_NODE"] == "8"
    assert told["CXR_RENDEZVOUS"] == "node7:29500"
    assert told["CXR_NODE_STARTER"].startswith("srun --overlap --nodes=2")
    assert said[-1].endswith("--nodelist=node7 python -m prefect.engine")
    known = {f"CXR_{name.upper()}" for name in Environment.model_fields}
    assert told.keys() <= known


def test_every_cxr_variable_of_a_deployment_is_one() -> None:
    known = {f"CXR_{name.upper()}" for name in Environment.model_fields}
    for path in DEPLOY.rglob("*"):
        if path.suffix in (".yaml", ".yml", ".sh") or path.name.startswith("Dockerfile"):
            used = set(re.findall(r"\bCXR_[A-Z_]*[A-Z]\b", path.read_text()))
            assert used <= known, path.name


def test_commands_of_containers_are_commands(cxr: Say) -> None:
    """Each ``cxr`` line of a manifest is asked for its help with the words that it is given."""
    lines = [
        container["args"]
        for _, pod in pod_specs()
        for container in pod["containers"]
        if container.get("args", [""])[0] == "cxr"
    ]
    lines += [service.get("command", [""]) for service in composed()["services"].values()]
    asked = [line[1:] for line in lines if line[0] == "cxr"]
    assert {line[0] for line in asked} >= {"serve", "metrics", "deploy"}
    for line in asked:
        said = cxr(*line, "--help")
        assert said.code == 0, line


def test_serving_asks_for_tokens_and_ends_when_it_has_answered() -> None:
    pod = dict(pod_specs())["serve"]
    container = pod["containers"][0]
    file = container["args"][container["args"].index("--token-file") + 1]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert file == f"{mounts['tokens']}/tokens.toml"
    assert pod["terminationGracePeriodSeconds"] > 60
    assert container["startupProbe"]["httpGet"]["path"] == "/health/ready"


def scrapes(name: str) -> dict[str, dict[str, Any]]:
    told = yaml.safe_load((DEPLOY / "prometheus" / name).read_text())
    return {job["job_name"]: job for job in told["scrape_configs"]}


def hosts(name: str) -> set[str]:
    statics = [each for job in scrapes(name).values() for each in job["static_configs"]]
    return {target.partition(":")[0] for each in statics for target in each["targets"]}


def test_prometheus_asks_what_is_there_to_be_asked() -> None:
    services = {one["metadata"]["name"] for _, one in MANIFESTS if one["kind"] == "Service"}
    assert hosts("containers.yml") <= composed()["services"].keys()
    assert hosts("kubernetes.yml") <= services
    assert "metrics" in hosts("containers.yml")
    assert hosts("kubernetes.yml") - hosts("containers.yml") == {"serve"}
    alike = scrapes("kubernetes.yml")
    assert alike.pop("cxrflow-serve")
    assert alike == scrapes("containers.yml")


def test_prometheus_has_the_secrets_that_it_shows_in_its_pod() -> None:
    """A password of Prefect's, and a viewer's token for ``cxr serve`` beyond loopback."""
    pod = dict(pod_specs())["prometheus"]
    (told,) = [each["projected"]["sources"] for each in pod["volumes"] if "projected" in each]
    files = {item["path"] for each in told for item in each["secret"]["items"]}
    mounts = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    jobs = scrapes("kubernetes.yml").values()
    wanted = [
        job.get("basic_auth", {}).get("password_file")
        or job.get("authorization", {}).get("credentials_file")
        for job in jobs
    ]
    assert {file for file in wanted if file} == {f"{mounts['secrets']}/{name}" for name in files}
    docs = (DEPLOY.parent.parent / "docs" / "deploy.md").read_text()
    for each in told:
        assert f"create secret generic {each['secret']['name']} " in docs
    assert "prometheus.yml=infra/deploy/prometheus/kubernetes.yml" in docs
