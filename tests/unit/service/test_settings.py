"""The settings: where they come from, and the page that documents them."""

import pytest
from pydantic import ValidationError

from matcaps.service.settings import Settings, warnings_of
from tests.support.settings_table import COMMAND, PAGE, START, with_table


def test_the_documented_table_is_current() -> None:
    """The table in docs/configuration.md is the one that is made from Settings."""
    page = PAGE.read_text()
    assert START in page
    assert page == with_table(page), f"docs/configuration.md is out of date; `{COMMAND}` rewrites it"


def test_an_option_overrides_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option overrides the environment variable, which overrides the default."""
    assert Settings(_cli_parse_args=[]).max_images == 64
    monkeypatch.setenv("MATCAPS_MAX_IMAGES", "5")
    assert Settings(_cli_parse_args=[]).max_images == 5
    assert Settings(_cli_parse_args=["--max-images", "6"]).max_images == 6


NAMES = [f"MATCAPS_{name.upper()}" for name in Settings.model_fields]
LINKS = ["tcp://10.96.14.7:80", "tcp://[fd00::1]:80", "udp://10.96.14.7:53", "sctp://10.96.14.7:9", "TCP://10.0.0.1:80"]


def injected(service: str, link: str) -> dict[str, str]:
    """The variables that Kubernetes, and Docker for a link, set for a service."""
    name = service.upper().replace("-", "_")
    protocol, _, address = link.partition("://")
    host, _, port = address.rpartition(":")
    long = f"{name}_PORT_{port}_{protocol.upper()}"
    return {
        f"{name}_SERVICE_HOST": host.strip("[]"),
        f"{name}_SERVICE_PORT": port,
        f"{name}_SERVICE_PORT_HTTP": port,
        f"{name}_PORT": link,
        long: link,
        f"{long}_PROTO": protocol,
        f"{long}_PORT": port,
        f"{long}_ADDR": host.strip("[]"),
        f"{name}_NAME": "/web/matcaps",
        f"{name}_ENV_PATH": "/usr/bin",
    }


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("service", ["matcaps", *(name.lower().replace("_", "-") for name in NAMES)])
def test_variables_of_a_platform_change_no_setting(monkeypatch: pytest.MonkeyPatch, service: str, link: str) -> None:
    """Whatever a service is called, its variables change nothing, and only one that has the name of a setting warns."""
    variables = injected(service, link)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Settings(_cli_parse_args=[]) == Settings.model_construct()
    same = [name for name in variables if name in NAMES]
    assert same == (["MATCAPS_PORT"] if service == "matcaps" else [])
    warnings = warnings_of(variables)
    assert len(warnings) == len(same)
    assert all(f"MATCAPS_PORT is ignored: expected a port, got {link}" in warning for warning in warnings)
    assert all("enableServiceLinks: false" in warning for warning in warnings)


def test_a_port_that_is_asked_for_as_a_link_is_an_error() -> None:
    """Only a platform's variable is ignored, not an option."""
    with pytest.raises(ValidationError, match="tcp://10"):
        Settings(_cli_parse_args=["--port", LINKS[0]])


def test_an_unknown_variable_is_ignored_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """The warning has the name of the setting that may be meant; a variable of another program has no warning."""
    monkeypatch.setenv("MATCAPS_MAX_BATCHES", "3")
    assert Settings(_cli_parse_args=[]) == Settings.model_construct()
    unknown = {"MATCAPS_MAX_BATCHES": "3", "MATCAPS_COLOUR": "red", "PORT": "1", "LISTEN_FDS": "1", "MATCAPSULE": "1"}
    assert warnings_of({**unknown, "MATCAPS_METRICS_PORT": "9000", "MATCAPS_PORT": "9000"}) == [
        "MATCAPS_COLOUR is ignored: no setting has that name",
        "MATCAPS_MAX_BATCHES is ignored: no setting has that name; did you mean MATCAPS_MAX_BATCH?",
        "MATCAPS_METRICS_PORT is ignored: no setting has that name",
    ]


@pytest.mark.parametrize("empty", ["", " ", "\r\n"])
@pytest.mark.parametrize("name", NAMES)
def test_an_empty_variable_is_the_default(monkeypatch: pytest.MonkeyPatch, name: str, empty: str) -> None:
    """Except for the file of keys: without it, every request would be accepted."""
    monkeypatch.setenv(name, empty)
    if name == "MATCAPS_API_KEYS":
        with pytest.raises(ValidationError, match="expected a value; leave it out to accept every request"):
            Settings(_cli_parse_args=[])
    else:
        assert Settings(_cli_parse_args=[]) == Settings.model_construct()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_an_empty_option_is_an_error(name: str) -> None:
    """Except for a setting whose default is empty."""
    field, options = Settings.model_fields[name], [f"--{name.replace('_', '-')}", ""]
    if field.default == "":
        assert getattr(Settings(_cli_parse_args=options), name) == ""
    elif field.annotation is not bool:
        with pytest.raises(ValidationError, match=f"{name}\n.*expected a value"):
            Settings(_cli_parse_args=options)


def test_white_space_and_case_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of variables may end its lines with a carriage return, and a level may be written as in other programs."""
    monkeypatch.setenv("MATCAPS_LOG_LEVEL", "WARNING\r")
    monkeypatch.setenv("MATCAPS_LOG_FORMAT", "Json")
    monkeypatch.setenv("MATCAPS_PORT", " 9000 ")
    monkeypatch.setenv("MATCAPS_API_KEYS", " Keys ")
    monkeypatch.setenv("MATCAPS_TF32", "TRUE\r")
    settings = Settings(_cli_parse_args=["--device", "CPU"])
    assert (settings.log_level, settings.log_format, settings.device) == ("warning", "json", "cpu")
    assert (settings.port, str(settings.api_keys), settings.tf32) == (9000, "Keys", True)


def test_no_word_switches_keys_off() -> None:
    """A template may fill in null or None for a value that it lacks."""
    for word in ("null", "None", "none"):
        assert str(Settings(_cli_parse_args=["--api-keys", word]).api_keys) == word


@pytest.mark.parametrize("given", ["/capsules", "/capsules/", " /capsules// "])
def test_a_root_path_has_no_slash_at_its_end(given: str) -> None:
    """And / is no root path at all."""
    assert Settings(root_path=given).root_path == "/capsules"
    assert Settings(root_path="/").root_path == ""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("capsules", "a path such as /capsules"),
        ("https://example.com/capsules", "a path such as /capsules"),
        ("/a//b", "a path such as /capsules"),
        ("/a/../b", "a path such as /capsules"),
        ("/a?b", "a path such as /capsules"),
        ("/a b", "a path such as /capsules"),
        ("/ä", "a path such as /capsules"),
        ("/models", "a path that does not begin like a route"),
        ("/v2/capsules", "a path that does not begin like a route"),
    ],
)
def test_a_wrong_root_path_is_an_error(given: str, expected: str) -> None:
    """The error names what was expected and what came."""
    with pytest.raises(ValidationError, match=f"expected {expected}") as error:
        Settings(root_path=given)
    assert error.value.errors()[0]["input"] == given


def test_origins_are_written_as_browsers_send_them() -> None:
    """In lower case, without white space."""
    given = "HTTPS://App.Example.com, http://localhost:3000,http://[::1]:8080 ,capacitor://localhost"
    expected = "https://app.example.com,http://localhost:3000,http://[::1]:8080,capacitor://localhost"
    assert Settings(cors_origins=given).cors_origins == expected
    assert Settings(cors_origins="*").cors_origins == "*"


@pytest.mark.parametrize(
    "given",
    [
        "app.example.com",
        "https://a.example/",
        "https://a.example/x",
        "https://a,",
        "*,https://a",
        "null",
        "https://*.a",
    ],
)
def test_a_wrong_origin_is_an_error(given: str) -> None:
    """It would never match, or match more than was meant."""
    with pytest.raises(ValidationError, match="expected origins such as"):
        Settings(cors_origins=given)
