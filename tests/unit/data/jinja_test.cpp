// The Jinja interpreter against what jinja2 3.1 renders with transformers' environment,
// and its limits.
#include "jinja.hpp"

#include <boost/test/unit_test.hpp>
#include <chrono>

using namespace mtrain::data::jinja;

namespace {

Value message(const char* role, const char* content) {
  return dict_value({{"role", text_value(role)}, {"content", text_value(content)}});
}

Template::Variables variables() {
  return {{"s", text_value("Hello, World")},
          {"u", text_value("äöü 中")},
          {"n", int64_t{3}},
          {"f", 2.5},
          {"none_", None{}},
          {"l", list_value({int64_t{1}, int64_t{2}, int64_t{3}})},
          {"d", dict_value({{"a", int64_t{1}}, {"b", list_value({text_value("x")})}})},
          {"ms", list_value({message("system", "S"), message("user", "U"),
                             message("assistant", "<think>\nt\n</think>\n\nA")})}};
}

std::string render(const std::string& source) {
  try {
    return Template(source).render(variables());
  } catch (const Fault& fault) {
    return "fault: " + fault.what;
  }
}

void check_fault(const std::string& source, const std::string& what) {
  const std::string text = render(source);
  BOOST_TEST(text.starts_with("fault: "), source << " gave " << text.substr(0, 80));
  BOOST_TEST(text.find(what) != text.npos, text);
}

struct Case {
  const char* source;
  const char* text;
};

void check(std::initializer_list<Case> cases) {
  for (const auto& [source, text] : cases)
    BOOST_TEST(render(source) == text, source << " gave " << render(source));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(jinja)

BOOST_AUTO_TEST_CASE(white_space_goes_and_stays_as_in_the_reference) {
  check({{"  {% if n %}\n  a\n  {% endif %}\n  b\n", "  a\n  b"},
         {"  {%- if n %}\n  a\n  {%- endif %}\n  b\n\n", "  a  b\n"},
         {"a\n  {%+ if n %}\n  x {%- endif +%}\n b", "a\n    x\n b"},
         {"a {# c #} b\n  {# d #}\n e {#- f -#} g", "a  b\n eg"},
         {"x\n\n{{- n -}}\n\n y {{ n }}\n", "x3y 3"},
         {"a\r\nb\rc\n", "a\nb\nc"},
         {"{{ 'x\ny' }}", "x\ny"},
         {"{{n}}}}", "3}}"},
         {"{ {n} }", "{ {n} }"}});
}

BOOST_AUTO_TEST_CASE(expressions_bind_as_in_the_reference) {
  check({{"{{ 2 ** 3 ** 2 }} {{ -2 ** 2 }}", "64 4"},
         {"{{ 7 // -2 }} {{ -7 % 3 }} {{ n / 3 }} {{ 1 + 2 * 3 }}", "-4 2 1.0 7"},
         {"{{ 'a' ~ 1 + 1 }}", "fault: computes a str + a int"},
         {"{{ 1 < n < 5 }} {{ n not in l }} {{ not n in l }}", "True False False"},
         {"{{ -n | abs }} {{ n is odd and n is not even }}", "3 True"},
         {"{{ 'a' if none_ else 'b' if n else 'c' }}|{{ 'a' if none_ }}", "b|"},
         {"{{ none_ or 'x' }} {{ n and 'y' }}", "x y"},
         {"{{ l[1:] }} {{ l[::-1] }} {{ u[1:3] }} {{ l[-1] }} {{ l[9] }}",
          "[2, 3] [3, 2, 1] öü 3 "},
         {"{{ {'x': {'y': 1}}.x.y }} {{ d['a'] }} {{ d.zz is defined }}", "1 1 False"},
         {"{{ 1.0 == 1 }} {{ true == 1 }} {{ '1' == 1 }}", "True True False"},
         {"{{ [1, 'a', none, true, 1.5, (2,), {'k': \"it's\"}] }}",
          "[1, 'a', None, True, 1.5, (2,), {'k': \"it's\"}]"},
         {"{{ '\\x41\\u00e9\\n\\q\\'' \"c\" }}", "A\u00e9\n\\q'c"},
         {"{{ missing }}|{{ missing ~ 'x' }}|{{ missing is defined }}", "|x|False"}});
}

BOOST_AUTO_TEST_CASE(statements_scope_their_names) {
  check(
      {{"{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }},{% endfor %}{{ x }}",
        "2,3,4,1"},
       {"{% set q = namespace(x=1) %}{% for i in l %}{% set q.x = q.x + i %}{% endfor %}"
        "{{ q.x }}{{ q.none }}",
        "7"},
       {"{% for x in l if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }}"
        "{{ ',' if not loop.last }}{% else %}none{% endfor %}",
        "1/2:2,2/2:3"},
       {"{% for x in [] %}a{% else %}none{% endfor %}", "none"},
       {"{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "a=1;b=['x'];"},
       {"{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}"
        "{% if i > 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
        "0134"},
       {"{% macro m(a, b='B') %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(b=2) }}",
        "[1B][2]"},
       {"{% set x %}a{{ n }}{% endset %}{{ x | upper }}", "A3"},
       {"{% generation %}{{ n }}{% endgeneration %}", "3"}});
}

BOOST_AUTO_TEST_CASE(filters_tests_and_methods_do_what_pythons_do) {
  check(
      {{"{{ d | tojson }} {{ u | tojson(ensure_ascii=true) }}",
        "{\"a\": 1, \"b\": [\"x\"]} \"\\u00e4\\u00f6\\u00fc \\u4e2d\""},
       {"{{ {'b': [], 'a': [1]} | tojson(indent=1, sort_keys=true) }}",
        "{\n \"a\": [\n  1\n ],\n \"b\": []\n}"},
       {"{{ ms | map(attribute='role') | join(', ') }}", "system, user, assistant"},
       {"{{ (ms | selectattr('role', 'equalto', 'user') | first).content }}", "U"},
       {"{{ ms | rejectattr('tools', 'defined') | list | length }}", "3"},
       {"{{ ms[2].content.split('</think>')[-1].lstrip('\\n') }}", "A"},
       {"{{ ' a  b '.split() }} {{ 'a,b,c'.split(',', 1) }}", "['a', 'b'] ['a', 'b,c']"},
       {"{{ 'abc'.startswith(('x', 'a')) }} {{ s.endswith('d') }}", "True True"},
       {"{{ u | length }} {{ u.upper() }} {{ 'a-b cD' | title }}", "5 ÄÖÜ 中 A-B Cd"},
       {"{{ '3.7' | int }} {{ 'x' | int(9) }} {{ 2.5 | round }} {{ 3.14159 | round(2) }}",
        "3 9 2.0 3.14"},
       {"{{ ['b', 'A'] | sort | join }} {{ l | sum }} {{ [] | max }}", "Ab 6 "},
       {"{{ 'a\nb' | indent(2) }} {{ '  x ' | trim }} {{ s | replace('l', 'L') }}",
        "a\n  b x HeLLo, WorLd"},
       {"{{ none_ | default('x') }} {{ none_ | default('x', true) }} {{ q | d('y') }}",
        "None x y"},
       {"{{ l is iterable }} {{ d is mapping }} {{ s is string }} {{ f is number }}",
        "True True True True"},
       {"{{ d.items is defined }} {{ d.get('zz', 7) }} {{ 'a' in d }}", "True 7 True"}});
}

BOOST_AUTO_TEST_CASE(what_lies_outside_is_named) {
  check_fault("{{ raise_exception('roles must alternate') }}", "refuses: roles must");
  check_fault("a\n{{ s | batch(2) }}", "the filter 'batch', which this program");
  check_fault("{{ s.partition('l') }}", ".partition() of a text");
  check_fault("{% include 'x' %}", "{% include %}");
  check_fault("{% for x in l recursive %}{% endfor %}", "recursive loops");
  check_fault("{{ '%s' % s }}", "formats a text with %");
  check_fault("{{ l.append(1) }}", "changes a value by .append()");
  check_fault("{{ s.__class__ }}", "'__class__', which templates may not");
  check_fault("{{ missing.x }}", "looks for 'x' in 'missing', which is not defined");
  check_fault("{{ 9223372036854775807 + 1 }}", "beyond 64 bits");
  for (const char* source :
       {"{%", "{{ n", "{% if n %}", "{% endif %}", "{{ }}", "{{ 'a }}", "{{ l[ }}",
        "{{ (1 }}", "{# x", "{{ n n }}", "{% for %}"})
    check_fault(source, "");
  try {
    Template("a\n\n{{ s | batch(2) }}").render(variables());
    BOOST_TEST(false);
  } catch (const Fault& fault) {
    BOOST_TEST(fault.line == 3);
  }
}

BOOST_AUTO_TEST_CASE(hostile_templates_end_soon) {
  const auto repeated = [](const char* part, size_t count) {
    std::string text;
    for (size_t i = 0; i < count; ++i) text += part;
    return text;
  };
  const auto start = std::chrono::steady_clock::now();
  check_fault(
      "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
      "{% endfor %}{% endfor %}{% endfor %}",
      "too many steps");
  check_fault("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested too deeply");
  check_fault("{{ 'x' * 99999999 }}", "repeats something too often");
  check_fault(
      "{% set q = namespace(x='x') %}{% for i in range(99) %}"
      "{% set q.x = q.x + q.x %}{% endfor %}{{ q.x }}",
      "too much text");
  check_fault(
      "{% set q = namespace(x=[1]) %}{% for i in range(99) %}"
      "{% set q.x = [q.x, q.x] %}{% endfor %}{{ q.x }}",
      "nested too deeply or too large");
  check_fault(
      "{% set q = namespace(x=[1]) %}{% for i in range(9999) %}"
      "{% set q.x = [q.x] %}{% endfor %}",
      "nested too deeply");
  check_fault("{{ " + repeated("(", 100'000) + "1" + repeated(")", 100'000) + " }}",
              "nested too deeply");
  check_fault("{{ 1" + repeated("+1", 100'000) + " }}", "nested too deeply");
  check_fault("{{ l" + repeated("[0]", 100'000) + " }}", "nested too deeply");
  check_fault(repeated("{% if n %}", 50'000), "nested too deeply");
  check_fault("{{ " + repeated("not ", 100'000) + "n }}", "nested too deeply");
  // Chains of namespaces, one in the other, are freed without recursion.
  BOOST_TEST(render("{% set q = namespace(x=none) %}{% for i in range(90000) %}"
                    "{% set q.x = namespace(x=q.x) %}{% endfor %}end") == "end");
  check_fault("\xff", "UTF-8");
  BOOST_TEST((std::chrono::steady_clock::now() - start < std::chrono::seconds(20)));
}

BOOST_AUTO_TEST_SUITE_END()
