"""What a configuration may say, and how it is told what it may not."""

from __future__ import annotations

from typing import Any

import pytest

from edgewright import Agent, Config
from edgewright.domain.errors import (
    ConfigError,
    ModelFileError,
    ModelNotPulledError,
    OfflineError,
    UnknownModelError,
)


def test_the_issues_first_program_can_be_configured() -> None:
    config = Config(
        name="shop",
        model_alias="qwen2.5-coder-0.5b",
        max_tokens=512,
        temperature=0.1,
        offline_mode=True,
    )
    assert (config.name, config.max_tokens, config.offline_mode) == ("shop", 512, True)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"max_tokens": 0}, "max_tokens: Input should be greater than 0"),
        ({"max_tokens": -5}, "max_tokens:"),
        ({"temperature": 2.5}, "temperature:"),
        ({"temperature": -0.1}, "temperature:"),
        ({"timeout": 0}, "timeout:"),
        ({"max_steps": 0}, "max_steps:"),
        ({"context": 10}, "context:"),
        ({"name": ""}, "name:"),
        ({"history": "forget"}, "history:"),
        ({"tool_format": "xml"}, "tool_format:"),
        ({"max_token": 5}, "max_token: there is no such setting (did you mean max_tokens?)"),
        ({"zzz": 5}, "zzz: there is no such setting."),
        ({"max_tokens": "many"}, "max_tokens:"),
        ({"confirm": "always"}, "confirm:"),
        ({"replies": "any"}, "replies:"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(**fields)
    assert str(caught.value).startswith(f"Config is not valid: {said}")
    assert caught.value.code == "config_invalid"
    assert caught.value.hint


def test_all_wrong_fields_are_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"max_tokens: .*; temperature: "):
        Config(max_tokens=0, temperature=9)


def test_a_config_cannot_be_changed_behind_the_agents_back() -> None:
    config = Config()
    with pytest.raises(ValueError, match="frozen"):
        config.max_tokens = 5


def test_the_api_key_is_not_shown() -> None:
    config = Config(api_key="sk-very-secret")
    assert "very-secret" not in f"{config!r} {config} {config.model_dump()}"


# What an agent makes of it


def test_an_unknown_provider_is_refused_with_the_near_name() -> None:
    with pytest.raises(ConfigError) as caught:
        Agent(Config(model_provider="lama_cpp"))
    assert str(caught.value) == "There is no model provider 'lama_cpp'."
    assert caught.value.hint == "Did you mean 'llama_cpp'?"


def test_a_provider_like_no_other_is_refused_with_the_list() -> None:
    with pytest.raises(ConfigError) as caught:
        Agent(Config(model_provider="zzz"))
    assert "'openai'" in caught.value.hint


def test_an_endpoint_is_asked_for_when_it_is_missing() -> None:
    with pytest.raises(ConfigError, match="needs an endpoint"):
        Agent(Config(model_provider="openai"))


@pytest.mark.parametrize("address", ["localhost:8000", "ftp://host/v1", "http://", "no url"])
def test_an_endpoint_that_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="not an http or https address"):
        Agent(model_endpoint=address)


def test_an_unknown_model_is_refused_with_near_names() -> None:
    with pytest.raises(UnknownModelError, match=r"did you mean qwen2\.5-coder-0\.5b"):
        Agent(Config(model_alias="qwen2.5-codr-0.5b"))


def test_a_model_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(ModelFileError, match=r"no file /nowhere/m\.gguf"):
        Agent(Config(model_id="/nowhere/m.gguf"))


def test_a_base_model_cannot_be_an_agent() -> None:
    with pytest.raises(ConfigError, match="without a chat format"):
        Agent(Config(model_alias="gemma-3-270m"))


@pytest.mark.parametrize(
    "alias", ["llama-3.2-3b", "phi-4-mini", "phi-4", "phi-3.5-mini", "gemma-3-1b"]
)
def test_a_model_of_any_family_in_the_catalog_can(alias: str) -> None:
    with pytest.raises(ModelNotPulledError):  # and no more than that is missing
        Agent(Config(model_alias=alias, offline_mode=True)).chat("Hello")


def test_an_offline_agent_without_its_model_says_what_to_run_while_online() -> None:
    agent = Agent(Config(offline_mode=True))  # in the test's own home there are no models
    with pytest.raises(ModelNotPulledError) as caught:
        agent.chat("Hello")
    assert caught.value.hint.endswith("edgewright models pull qwen2.5-coder-0.5b")


def test_an_offline_agent_refuses_an_endpoint_elsewhere_at_once() -> None:
    with pytest.raises(OfflineError, match=r"example\.org"):
        Agent(Config(offline_mode=True, endpoint="http://example.org/v1"))
