// SPDX-License-Identifier: Apache-2.0
#include "data/template/named_templates.h"

#include <algorithm>

namespace inlay {
namespace {

constexpr NamedTemplateText kTemplates[] = {
    {"chatml", "Qwen 2 and 2.5, SmolLM 2, OpenHermes, StableLM 2 chat and many more",
     R"({%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %})"},

    // The thoughts of every answer stay in the text, which Qwen's own template cuts out of earlier
    // ones: so each is learnt as it is written.
    {"qwen3", "Qwen 3 and other ChatML models that think and call tools",
     R"({%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\n\n' }}{%- endif %}
    {{- '# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function signatures within <tools></tools> XML tags:\n<tools>' }}
    {%- for tool in tools %}{{- '\n' + tool | tojson }}{%- endfor %}
    {{- '\n</tools>\n\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call><|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- set content = message.content or '' %}
    {%- if message.role == 'tool' %}
        {%- if loop.previtem is undefined or loop.previtem.role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\n<tool_response>\n' + content + '\n</tool_response>' }}
        {%- if loop.last or loop.nextitem.role != 'tool' %}{{- '<|im_end|>\n' }}{%- endif %}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant\n' }}
        {%- if message.reasoning_content %}
            {{- '<think>\n' + message.reasoning_content.strip('\n') + '\n</think>\n\n' }}
        {%- elif enable_thinking is defined and enable_thinking is false and '</think>' not in content %}
            {{- '<think>\n\n</think>\n\n' }}
        {%- endif %}
        {{- content }}
        {%- for call in message.tool_calls or [] %}
            {%- set call = call.function or call %}
            {{- '\n' if content or not loop.first else '' }}
            {{- '<tool_call>\n{"name": "' + call.name + '", "arguments": ' }}
            {{- call.arguments if call.arguments is string else call.arguments | tojson }}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif not (tools and loop.first and message.role == 'system') %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}
{%- endif %})"},

    {"llama2", "Llama 2 chat",
     R"({%- set bos = bos_token | default('<s>') %}
{%- set eos = eos_token | default('</s>') %}
{%- set ns = namespace(system='') %}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {%- set ns.system = '<<SYS>>\n' + message.content + '\n<</SYS>>\n\n' %}
    {%- elif message.role == 'user' %}
        {{- bos + '[INST] ' + ns.system + message.content.strip() + ' [/INST]' }}
        {%- set ns.system = '' %}
    {%- else %}
        {{- ' ' + message.content.strip() + ' ' + eos }}
    {%- endif %}
{%- endfor %})"},

    {"llama3", "Llama 3 to 3.3 Instruct",
     R"({{- bos_token | default('<|begin_of_text|>') }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' + message.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %})"},

    {"mistral", "Mistral and Ministral Instruct without tools (v3 and tekken)",
     R"({%- set eos = eos_token | default('</s>') %}
{%- set ns = namespace(system='') %}
{{- bos_token | default('<s>') }}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {%- set ns.system = message.content + '\n\n' %}
    {%- elif message.role == 'user' %}
        {{- '[INST]' + ns.system + message.content + '[/INST]' }}
        {%- set ns.system = '' %}
    {%- else %}
        {{- message.content + eos }}
    {%- endif %}
{%- endfor %})"},

    {"gemma", "Gemma 1 to 3 instruction-tuned",
     R"({%- set ns = namespace(system='') %}
{{- bos_token | default('<bos>') }}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {%- set ns.system = message.content + '\n\n' %}
    {%- else %}
        {{- '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' }}
        {{- ns.system + message.content | trim + '<end_of_turn>\n' }}
        {%- set ns.system = '' %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<start_of_turn>model\n' }}
{%- endif %})"},

    {"phi3", "Phi 3 and 3.5",
     R"({%- for message in messages %}
    {{- '<|' + message.role + '|>\n' + message.content + '<|end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>\n' }}
{%- endif %})"},

    {"phi4", "Phi 4 mini",
     R"({%- for message in messages %}
    {{- '<|' + message.role + '|>' + message.content + '<|end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>' }}
{%- endif %})"},

    {"zephyr", "Zephyr, TinyLlama chat, StableLM Zephyr",
     R"({%- for message in messages %}
    {{- '<|' + message.role + '|>\n' + message.content + eos_token | default('</s>') + '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>\n' }}
{%- endif %})"},

    {"granite", "Granite 3 and 4",
     R"({%- for message in messages %}
    {{- '<|start_of_role|>' + message.role + '<|end_of_role|>' + message.content + '<|end_of_text|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_of_role|>assistant<|end_of_role|>' }}
{%- endif %})"},

    {"olmo2", "OLMo 2, Tulu",
     R"({{- bos_token | default('') }}
{%- for message in messages %}
    {{- '<|' + message.role + '|>\n' + message.content }}
    {{- eos_token | default('<|endoftext|>') + '\n' if message.role == 'assistant' else '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>\n' }}
{%- endif %})"},

    {"exaone4", "EXAONE 3.5 and 4",
     R"({%- for message in messages %}
    {{- '[|' + message.role + '|]\n' + message.content + '[|endofturn|]\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '[|assistant|]\n' }}
{%- endif %})"},

    {"glm4", "GLM 4",
     R"({{- '[gMASK]<sop>' }}
{%- for message in messages %}
    {{- '<|' + message.role + '|>\n' + message.content }}
    {{- '<|user|>' if message.role == 'assistant' and loop.last else '' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>\n' }}
{%- endif %})"},

    {"command-r", "Command R and R7B, Aya",
     R"({{- bos_token | default('<BOS_TOKEN>') }}
{%- for message in messages %}
    {%- set role = {'user': 'USER', 'assistant': 'CHATBOT'}.get(message.role, 'SYSTEM') %}
    {{- '<|START_OF_TURN_TOKEN|><|' + role + '_TOKEN|>' + message.content | trim + '<|END_OF_TURN_TOKEN|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}
{%- endif %})"},

    {"gpt-oss", "gpt-oss: harmony without tools",
     R"({%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|start|>assistant' }}
        {%- if message.thinking %}
            {{- '<|channel|>analysis<|message|>' + message.thinking + '<|end|><|start|>assistant' }}
        {%- endif %}
        {{- '<|channel|>final<|message|>' + message.content }}
        {{- '<|return|>' if loop.last else '<|end|>' }}
    {%- else %}
        {{- '<|start|>' + message.role + '<|message|>' + message.content + '<|end|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant' }}
{%- endif %})"},

    {"nanochat", "nanochat",
     R"({%- set ns = namespace(system='') %}
{{- bos_token | default('<|bos|>') }}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {%- set ns.system = message.content + '\n\n' %}
    {%- else %}
        {{- '<|' + message.role + '_start|>' + ns.system + message.content + '<|' + message.role + '_end|>' }}
        {%- set ns.system = '' %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant_start|>' }}
{%- endif %})"},

    {"nemotron", "Nemotron Mini",
     R"({{- '<extra_id_0>System\n' }}
{%- if messages[0].role == 'system' %}{{- messages[0].content | trim }}{%- endif %}
{{- '\n\n' }}
{%- for message in messages if message.role != 'system' %}
    {{- '<extra_id_1>' + message.role | capitalize + '\n' + message.content | trim + '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<extra_id_1>Assistant\n' }}
{%- endif %})"},

    {"vicuna", "Vicuna 1.1",
     R"({%- for message in messages %}
    {%- if message.role == 'system' %}
        {{- message.content + '\n\n' }}
    {%- elif message.role == 'user' %}
        {{- 'USER: ' + message.content + '\n' }}
    {%- else %}
        {{- 'ASSISTANT: ' + message.content + eos_token | default('</s>') + '\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- 'ASSISTANT:' }}
{%- endif %})"},

    {"alpaca", "Alpaca's prompt as a conversation",
     R"({%- for message in messages %}
    {%- if message.role == 'system' %}
        {{- message.content + '\n\n' }}
    {%- elif message.role == 'user' %}
        {{- '### Instruction:\n' + message.content + '\n\n' }}
    {%- else %}
        {{- '### Response:\n' + message.content + eos_token | default('</s>') + '\n\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '### Response:\n' }}
{%- endif %})"},
};

}  // namespace

std::span<const NamedTemplateText> named_templates() {
  return kTemplates;
}

const NamedTemplateText* find_named_template(std::string_view name) {
  const auto* found = std::find_if(std::begin(kTemplates), std::end(kTemplates),
                                   [&](const NamedTemplateText& t) { return t.name == name; });
  return found == std::end(kTemplates) ? nullptr : found;
}

}  // namespace inlay
