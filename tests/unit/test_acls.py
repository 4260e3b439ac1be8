"""The script for `kafka-acls.sh` gives exactly the rights that are listed."""

import subprocess
from pathlib import Path

from agents.acls import grants, shell_script
from agents.settings import Settings


def test_the_script_calls_kafka_with_every_right_for_whom_the_variables_name(
    tmp_path: Path,
) -> None:
    """Run by a shell, with a `kafka-acls.sh` that only notes its arguments."""
    wanted = grants("acme", alerts_group="on call")
    settings = Settings(prefix="acme", bootstrap_servers="kafka:9093")
    tool = tmp_path / "kafka-acls.sh"
    tool.write_text("#!/bin/sh\nprintf '%s|' \"$@\"; echo\n")
    tool.chmod(0o755)

    done = subprocess.run(
        ["bash"],
        input="\n".join(shell_script(wanted, settings)),
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "TAIL": "User:CN=me", "ADMIN_CONFIG": "a b"},
        capture_output=True,
        text=True,
        check=True,
    )

    expected = []
    for grant in wanted:
        who = "User:CN=me" if grant.part == "tail" else f"User:acme-{grant.part}"
        words = ["--bootstrap-server", "kafka:9093", "--command-config", "a b", "--add"]
        words += ["--allow-principal", who, f"--{grant.resource}", grant.name]
        words += ["--resource-pattern-type", "prefixed"] if grant.prefixed else []
        for operation in grant.operations:
            words += ["--operation", operation]
        expected.append("|".join(words) + "|")
    assert done.stdout.splitlines() == expected
