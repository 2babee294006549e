"""The chat format with tools that the Qwen2.5 and Hermes families were trained on: ChatML, the
functions as JSON between <tools> tags, a call as JSON between <tool_call> tags.

Written here because a template that comes with a download is not trusted to build the prompt.
Control tokens in what people and tools say are made harmless, as `chat_format` does.
"""

import json
from typing import Final

TEMPLATE: Final = r"""
{%- macro said(text) %}{{- (text or "") | replace("<|", "< |") }}{% endmacro %}
{%- set opening = messages[0].content if messages[0].role == "system" else "" %}
{%- if tools or opening %}
    {{- "<|im_start|>system\n" + said(opening) }}
    {%- if tools %}
        {{- "\n\n# Tools\n\nYou may call one or more functions to assist with the user query." }}
        {{- "\n\nYou are provided with function signatures within <tools></tools> XML tags:" }}
        {{- "\n<tools>" }}
        {%- for tool in tools %}
            {{- "\n" + said(tool | tojson) }}
        {%- endfor %}
        {{- "\n</tools>\n\nFor each function call, return a json object with function name and " }}
        {{- "arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n" }}
        {{- '{"name": <function-name>, "arguments": <args-json-object>}' + "\n</tool_call>" }}
    {%- endif %}
    {{- "<|im_end|>\n" }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == "tool" %}
        {%- if loop.first or messages[loop.index0 - 1].role != "tool" %}
            {{- "<|im_start|>user" }}
        {%- endif %}
        {{- "\n<tool_response>\n" + said(message.content) + "\n</tool_response>" }}
        {%- if loop.last or messages[loop.index0 + 1].role != "tool" %}
            {{- "<|im_end|>\n" }}
        {%- endif %}
    {%- elif not (loop.first and message.role == "system") %}
        {{- "<|im_start|>" + message.role + "\n" + said(message.content) }}
        {%- for call in message.tool_calls or [] %}
            {%- if message.content or not loop.first %}{{- "\n" }}{% endif %}
            {{- '<tool_call>\n{"name": "' + said(call.function.name) + '", "arguments": ' }}
            {{- said(call.function.arguments | tojson) + "}\n</tool_call>" }}
        {%- endfor %}
        {{- "<|im_end|>\n" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- "<|im_start|>assistant\n" }}
{%- endif %}
""".strip()


def template(reply: str = "") -> str:
    """The template, in Jinja. An answer opens with `reply`."""
    opening = "<|im_start|>assistant\n"
    return TEMPLATE.replace(json.dumps(opening), json.dumps(opening + reply))
