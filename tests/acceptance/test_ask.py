"""`edgewright ask`: an answer on standard output, everything else beside it."""

from __future__ import annotations

import re

from commandline import CommandLine, text_of

SMOLLM = ("--model", "smollm2-135m")


def test_the_reply_is_on_stdout_and_the_figures_are_on_stderr(shared_cli: CommandLine) -> None:
    asked = shared_cli("ask", "Say hello.", *SMOLLM).well()

    assert len(asked.out.strip()) > 3
    assert "tokens/s" not in asked.out
    figures = r"first token [\d.]+ s · \d+ tokens/s · \d+ tokens · \d+ MB resident"
    assert re.fullmatch(figures, asked.err.strip()), asked.err


def test_json_is_events_and_ends_with_the_turn(shared_cli: CommandLine) -> None:
    asked = shared_cli("ask", "Say hello.", *SMOLLM, "--json").well()

    kinds = [event["type"] for event in asked.events]
    texts = ["text_delta"] * (len(kinds) - 2)
    assert kinds == ["model_loaded", *texts, "turn_finished"]
    assert text_of(asked.events) == asked.end["text"] != ""
    assert asked.end["stop_reason"] == "reply"
    assert asked.end["calls"] == []
    assert asked.end["usage"]["prompt"] > 10 and asked.end["usage"]["completion"] > 1
    assert 0 < asked.end["timings"]["first_token"] <= asked.end["timings"]["total"]
    assert asked.err == ""


def test_the_question_may_come_from_stdin(shared_cli: CommandLine) -> None:
    prompt = "Grüße! " * 40
    asked = shared_cli("ask", "-", *SMOLLM, "--json", stdin=prompt).well()

    assert asked.end["usage"]["prompt"] > 80


def test_without_a_session_nothing_is_kept(shared_cli: CommandLine) -> None:
    # The tests of this file ask without one, and none of them left a database behind.
    shared_cli("ask", "Say hello.", *SMOLLM).well()

    assert not (shared_cli.home / "sessions.db").exists()


def test_a_reader_that_goes_away_is_no_accident(shared_cli: CommandLine) -> None:
    running = shared_cli.start("ask", "Tell me a long story.", *SMOLLM, "--json")
    running.line_with("text_delta")
    assert running.process.stdout is not None and running.process.stderr is not None
    running.process.stdout.close()  # as `| head -1` does
    status = running.process.wait(60)

    assert status == 1
    assert running.process.stderr.read() == b""


def test_the_temporary_folder_may_be_deep(cli: CommandLine) -> None:
    deep = cli.folder / ("d" * 100)
    deep.mkdir()
    cli.env["TMPDIR"] = str(deep)  # too long a path for a Unix socket

    cli("ask", "Say hello.", *SMOLLM).well()

    assert list(deep.iterdir()) == []
