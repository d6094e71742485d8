from importlib.metadata import version

from cancernet_cli.core.machine.system import available_cores, package_versions, processor


def test_versions_of_installed_packages_only() -> None:
    assert package_versions("numpy", "no-such-package") == {"numpy": version("numpy")}


def test_the_machine_is_described() -> None:
    assert available_cores() >= 1
    assert processor()
