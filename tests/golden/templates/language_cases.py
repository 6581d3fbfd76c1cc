# SPDX-License-Identifier: Apache-2.0
"""Small templates, by topic, whose output under Jinja2 make_golden.py records. All share CONTEXT."""

CONTEXT = {
    "s": "Hello World",
    "blank": "",
    "padded": "  two words\t\n",
    "multi": "one\ntwo\n\nthree",
    "accents": "h\u00e9llo \u4e16\u754c \U0001f600!",
    "n": 7,
    "neg": -7,
    "zero": 0,
    "f": 2.5,
    "yes": True,
    "no": False,
    "nothing": None,
    "l": [3, 1, 2],
    "empty": [],
    "words": ["pear", "Apple", "fig", "apple"],
    "nested": [[1, 2], [3], []],
    "d": {"a": 1, "b": [1, 2], "c": {"x": "y"}, "items": "shadowed"},
    "keys": {"zeta": 1, "Alpha": 3, "beta": 2},
    "quotes": ["it's", 'say "hi"', "both ' and \"", "back\\slash", "new\nline", "tab\t\x01\x7f\u00ad\u200d\u3000"],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi <b>&amp; \"you\""},
        {"role": "assistant", "content": "  Hello!  "},
        {"role": "user", "content": ""},
    ],
    "schema": {
        "type": "object",
        "properties": {"q": {"type": "string", "description": "text \u00e9 <x>"}, "k": {"type": "integer", "enum": [1, 2.0, None, True]}},
        "required": [],
        "extra": {},
    },
}

EXPRESSIONS = {
    "literals": [
        "1", "007", "0", "00", "1_000", "0x1F", "0b101", "0o17", "1.5", "1e3", "1.5e-3", "2E5", "1_0.5", "'a'", '"a"', "'a' 'b' \"c\"",
        "true", "True", "false", "False", "none", "None", "[1, 'a', none, 2.0, true]", "(1, 2)", "(1,)", "()", "1, 2", "[1, 2,]",
        "{'a': 1, 'b': [1]}", "{}", "[]", "{1: 2, none: 3}", "{'a': 1, 'a': 2}", "'\\n\\t\\\\\\'\\\"'", "'\\x41\\u00e9\\U0001F600'", "'\\101\\0'|length",
        "'\\q\\a'", "'\u00e9\u4e16'", "'a\\\nb'", "[[], {}, ()]", "9223372036854775807", "-9223372036854775807", "nope", "[nope]", "'un\\N'", "'\\x4'",
    ],
    "floats": [
        "1.0", "100000000000000000000.0", "1e16", "1e15", "123456789012345678.0", "0.0001", "0.00001", "1e-5", "1.5e300", "0.1 + 0.2", "1/3", "2/3*3",
        "10/2", "-0.0", "1e22", "1e23", "5e-324", "1.7976931348623157e308", "1e308*10", "-1e308*10", "3.0e0", "12345.6789", "1234567890123456.7", "0.5e-6",
    ],
    "arithmetic": [
        "1 + 2", "n - 10", "n * 3", "n / 2", "n // 2", "neg // 2", "n // -2", "neg % 3", "n % -3", "n % 3", "neg // -2", "neg % -3", "7.5 // 2", "-7.5 // 2", "7.5 % 2", "-7.5 % 2", "7.5 % -2",
        "2 ** 3", "2 ** -1", "2 ** 0.5", "0 ** 0", "2 ** 62", "-2 ** 2", "2 ** 3 ** 2", "0 ** -1", "1 / 0", "1 // 0", "1 % 0", "1.0 / 0", "-n", "+n", "-f", "- -n", "-yes", "+true", "true + true", "true * 3",
        "1 + 2.5", "5 - 2.5", "'a' + 'b'", "'ab' * 3", "3 * 'ab'", "'ab' * -1", "'ab' * 0", "[1] + [2]", "[1, 2] * 2", "(1,) + (2,)", "[1] + (2,)", "'a' + 1", "1 + 'a'", "none + 1", "[1] + 1", "'a' - 'b'", "{} + {}", "-'a'", "+none", "'a' * 'b'", "'a' * 1.0",
        "1 + nope", "nope + 1", "nope * 2", "-nope", "1 - 2 - 3", "2 * 3 + 4", "2 + 3 * 4", "(2 + 3) * 4", "10 - 2 * 3 + 1", "7 // 2 * 2", "100 // 7 % 4", "0.0 // 1", "-0.0 // 1", "1e300 * 1e10 // 1",
    ],
    "text joining": [
        "1 ~ 2", "'a' ~ 1 ~ none ~ true ~ 1.0", "'a' ~ nope ~ 'b'", "'a' ~ [1, 'b']", "1 ~ 2 + 3", "1 + 2 ~ 3", "'a' ~ 'b' * 2", "d.c ~ ''", "(1, 'a') ~ ''", "'x' ~ -1",
    ],
    "comparisons": [
        "1 == 1.0", "1 == true", "0 == false", "'a' == 'a'", "'1' == 1", "none == none", "none == false", "nope == nope", "nope == none", "[1, 2] == [1, 2]", "[1, 2] == (1, 2)", "{'a': 1} == {'a': 1.0}", "{'a': 1} == {'b': 1}",
        "1 != 2", "1 < 2", "2 <= 2", "3 > 4", "'a' < 'b'", "'a' < 'B'", "'abc' < 'abd'", "'a' < 'aa'", "'\u00e9' > 'z'", "[1, 2] < [1, 3]", "[1] < [1, 0]", "(1, 2) < (1, 3)", "1 < 2 < 3", "1 < 3 < 2", "3 > 2 > 1 == true", "1 < 'a'", "none < 1", "[1] < 'a'", "{} < {}", "nope < 1", "1 < nope",
        "true < 2", "1.5 < 2", "9007199254740993 == 9007199254740992.0", "9007199254740993 > 9007199254740992.0", "n == 7 == 7", "1 == 1 != 2", "[1, 'a'] < [1, 2]", "range(3) == range(3)", "range(3) == [0, 1, 2]",
    ],
    "membership": [
        "1 in [1, 2]", "3 not in [1, 2]", "'a' in 'abc'", "'' in 'abc'", "'ac' in 'abc'", "'a' in d", "'z' in d", "1 in d", "'a' not in d", "1 in 'abc'", "none in 'abc'", "1 in 5", "1 in none", "1 in nope", "nope in [1]", "nope in [nope]", "1.0 in [1]", "'b' in ('a', 'b')", "2 in range(3)", "not 1 in [1]", "1 in [1] in [true]", "[1] in [[1]]", "[1] in d", "nope in d", "d.get(nope, 5)", "'x' in d.keys()", "1 in d.values()", "'ll' in s and 'W' in s",
    ],
    "logic": [
        "true and false", "true or false", "not true", "not not 1", "1 and 2", "0 and 2", "0 or 'x'", "0or 1", "0if 1else 2", "'' or none", "[] or {}", "1 or nope.x", "0 and nope.x", "not nope", "not ''", "not []", "not 0.0", "not none", "true and not false", "true or false and false", "not true or true", "1 if true else 2", "1 if false else 2", "1 if false", "'a' if nope else 'b'", "1 if 0 else 2 if 0 else 3", "(1 if true else 2) + 1", "1 + 1 if true else 0", "'x' if n > 5 and s else 'y'", "(1 if false) is defined", "nope and 1", "nope or 1",
    ],
    "subscripts": [
        "l[0]", "l[-1]", "l[3]", "l[-4]", "s[0]", "s[-1]", "s[50]", "accents[1]", "accents[-2]", "d['a']", "d.a", "d['z']", "d.z", "d.b[1]", "d['c']['x']", "d.c.x", "l.0", "nested.0.1", "nested[0][1]", "d[1]", "none.x", "none[0]", "(5).x", "nope.x", "nope['x']", "nope[0]", "d.z.y", "d.z['y']", "d['z'][0]", "l['x']", "l.x", "s.x", "s['x']", "l[true]", "l['0']", "(1, 2)[1]", "range(5)[2]", "range(5)[-1]", "messages[0].role", "messages[0]['role']", "messages[-1]['content']", "d['items']", "d.items is callable", "l[1.0]", "'abc'[1]", "[1, 2, 3][-2]", "{'a': {'b': 5}}.a.b", "{1: 'x'}[1]", "{1: 'x'}[1.0]", "{1: 'x'}[true]", "d.keys()[0]", "d[l]", "d[nope]", "{none: 5}[none]",
    ],
    "slices": [
        "l[1:]", "l[:1]", "l[:]", "l[::-1]", "l[-2:]", "l[:-1]", "l[5:]", "l[-9:2]", "l[::2]", "l[2:0:-1]", "l[2::-2]", "l[::-2]", "s[1:4]", "s[::-1]", "s[-5:]", "s[:-6]", "s[::3]", "accents[::-1]", "accents[2:8]", "(1, 2, 3)[1:]", "range(10)[2:5]|list", "range(10)[::-3]|list", "l[none:2]", "l[true:]", "l[::0]", "l['a':]", "d[1:]", "nope[1:]", "messages[1:]|length", "l[1:][0]", "l[9223372036854775807:]", "l[:-9223372036854775807]", "l[::9223372036854775807]", "l[n-6:n-5]", "nothing[1:]",
    ],
    "string methods": [
        "s.upper()", "s.lower()", "s.title()", "s.capitalize()", "'hello wORLD don\\'t'.title()", "padded.strip()", "padded.lstrip()", "padded.rstrip()", "'xxhixx'.strip('x')", "'xyhiyx'.strip('xy')", "'xxhi'.lstrip('x')", "'hixx'.rstrip('x')", "'hi'.strip('')", "'\\u3000a\\u00a0'.strip()", "padded.strip(none)", "s.split()", "s.split(' ')", "s.split('o')", "s.split('o', 1)", "'a,b,,c,'.split(',')", "''.split(',')", "''.split()", "'  a  b  c '.split()", "'  a  b  c '.split(none, 1)", "'  a  b  c '.rsplit(none, 1)", "'a b c'.split(maxsplit=1)", "'a,b,c'.rsplit(',', 1)", "'a,b,c'.split(',', 0)", "'a b c'.split(none, 0)", "' a b '.split(none, 9)", "' a b '.rsplit(none, 0)", "'aXbXc'.split('X', maxsplit=1)", "'a'.split('')", "'abc'.split(1)", "multi.splitlines()", "multi.splitlines(true)", "'a\\r\\nb\\rc\\u2028d'.splitlines()", "''.splitlines()", "'a\\n'.splitlines()", "'\\n'.splitlines()",
        "s.startswith('He')", "s.startswith('he')", "s.endswith('ld')", "s.startswith(('x', 'H'))", "s.endswith(('x', 'y'))", "s.startswith('')", "s.startswith(1)", "s.replace('o', '0')", "s.replace('o', '0', 1)", "s.replace('', '-')", "'aaa'.replace('aa', 'b')", "s.replace('l', '')", "'abc'.replace('', '-', 2)", "''.replace('', 'x')", "s.replace('x', 'y')", "'\u00e9\u00e9'.replace('', '.')", "s.replace(1, 2)",
        "s.find('o')", "s.rfind('o')", "s.find('zz')", "accents.find('!')", "s.index('W')", "s.index('zz')", "s.rindex('o')", "s.count('l')", "s.count('')", "'aaaa'.count('aa')", "'-'.join(['a', 'b'])", "''.join(['a'])", "', '.join(words)", "'-'.join([1])", "'-'.join('abc')", "'-'.join([])", "'-'.join(d)", "'-'.join(words|map('upper'))", "'prefix-x'.removeprefix('prefix-')", "'x-suffix'.removesuffix('-suffix')", "'x'.removeprefix('y')", "'a=b=c'.partition('=')", "'a=b=c'.rpartition('=')", "'abc'.partition('=')", "'abc'.rpartition('=')", "'abc'.partition('')",
        "'123'.isdigit()", "'12a'.isdigit()", "''.isdigit()", "'abc'.isalpha()", "'ab1'.isalpha()", "'\u00e9\u4e16'.isalpha()", "'ab1'.isalnum()", "'a b'.isalnum()", "' \\t'.isspace()", "''.isspace()", "'abc'.islower()", "'aBc'.islower()", "'ABC'.isupper()", "'A1'.isupper()", "'1'.isupper()", "'\u00c9\u00c0'.lower()", "'\u00e9\u00e0\u0153\u044f'.upper()", "'\u01c6'.capitalize()", "s.nope", "s.nope()", "s.upper(1)", "'a'.split(sep='a')", "'a'.split(nope='a')", "5.upper()", "(5).upper()", "none.upper()", "''.strip().upper()", "s.lower().split('w')[0].strip()",
    ],
    "dict methods": [
        "d.get('a')", "d.get('z')", "d.get('z', 5)", "d.get([])", "keys.items()|list", "d.keys()|list", "d.values()|list", "{}.keys()|list", "keys.items()|length", "keys.keys()|first", "d.nope()", "d.get()", "keys.items()|last", "'a' in keys.keys()", "keys.get('zeta') + 1", "{}.get('a') is none",
    ],
    "list methods": ["l.index(1)", "l.index(9)", "l.count(1)", "(1, 2, 1).count(1)", "(1, 2).index(2)", "l.nope()", "['a', 'b'].index('b')", "range(5).index(3)"],
    "repr": ["quotes", "quotes[5:]", "[accents]", "[1.0, 1e20, none, true, 'x']", "d", "schema", "('a',)", "['\\u2028\\ufeff\\ue000']", "[[], [[]], {}]", "[nope]", "{'k': nope}", "[-0.0]"],
    "tests": [
        "n is defined", "nope is defined", "d.z is defined", "nope is undefined", "nope is not defined", "none is none", "nothing is none", "nope is none", "s is string", "n is string", "d is mapping", "l is mapping", "l is iterable", "s is iterable", "d is iterable", "n is iterable", "nope is iterable", "none is iterable", "l is sequence", "s is sequence", "d is sequence", "n is sequence", "d.keys() is sequence", "(l|map('string')) is sequence", "(l|map('string')) is iterable", "n is number", "f is number", "yes is number", "s is number", "n is integer", "f is integer", "yes is integer", "f is float", "n is float", "yes is boolean", "n is boolean", "none is boolean", "yes is true", "1 is true", "no is false", "0 is false", "nope is false", "n is eq 7", "n is eq(7)", "n is equalto 7", "n is ne 7", "n is lt 8", "n is gt 8", "n is le 7", "n is ge 8", "n is lessthan 8", "n is greaterthan 3", "n is odd", "n is even", "neg is odd", "n is divisibleby 7", "n is divisibleby(2)", "'a' is in ['a']", "'a' is in('b')", "s is lower", "'abc' is lower", "'ABC' is upper", "range is callable", "s.upper is callable", "n is callable", "nope is callable", "nope is sequence", "not n is defined", "n is not string", "n is defined and s is string", "(n is odd) is true", "s is odd", "nope.x is defined", "l|first is odd", "-1 is odd", "2.0 is even", "yes is odd", "n is string or yes", "messages is sequence and messages is not mapping", "true is in [1]", "1 is true is false", "range(3) is sequence", "range(2) is iterable", "() is sequence",
    ],
    "text filters": [
        "padded|trim", "'xxaxx'|trim('x')", "5|trim", "none|trim", "nope|trim", "s|upper", "s|lower", "5|upper", "s|title", "'hello-world (foo) [bar] it\\'s'|title", "s|capitalize", "'hELLO'|capitalize", "blank|capitalize", "blank|title", "s|replace('o', '0')", "s|replace('l', 'L', 1)", "5|replace(5, 6)", "s|replace('o', none)", "nope|replace('a', 'b')", "s|length", "accents|length", "l|length", "d|length", "nope|length", "none|length", "5|length", "l|count", "5|string", "none|string", "1.0|string", "nope|string", "d.c|string", "nope|default('x')", "nope|d('x')", "none|default('x')", "''|default('x')", "''|default('x', true)", "none|d('x', boolean=true)", "nope|default", "0|default(5, true)", "d.z|default('none')", "nope|default(nope)", "nope|default(default_value=3)", "s|default('x')|upper", "nope.x|default(1)",
        "'<a href=\"x\">&\\'</a>'|escape", "'<b>'|e", "'<b>'|safe", "5|safe", "multi|indent", "multi|indent(2)", "multi|indent(2, true)", "multi|indent(2, blank=true)", "multi|indent(width='> ')", "multi|indent(2, first=true, blank=true)", "blank|indent", "'a\\n'|indent", "'a\\n\\n'|indent(1, true, true)", "5|indent", "nope|indent", "multi|indent(-1)",
    ],
    "number filters": [
        "'42'|int", "'4.9'|int", "'x'|int", "'x'|int(5)", "4.9|int", "-4.9|int", "true|int", "none|int", "none|int(default=3)", "nope|int", "' 42 '|int", "'1_000'|int", "'_1'|int", "'1__0'|int", "'+5'|int", "'-5'|int", "'- 5'|int", "'0x1f'|int(base=16)", "'1f'|int(0, 16)", "'0b11'|int(0, 2)", "'1e3'|int", "'inf'|int", "'nan'|int", "''|int", "[]|int", "'0_1'|int", "'0x1f'|int",
        "'1.5'|float", "'x'|float", "'x'|float(2)", "3|float", "true|float", "none|float", "'1e5'|float", "'.5'|float", "'5.'|float", "'inf'|float", "'-Infinity'|float", "'nan'|float", "' 1.0 '|float", "'1_0.5'|float", "'1e400'|float", "'1e-400'|float", "'0x10'|float", "nope|float", "'+.5e+1'|float", "'.'|float", "'-'|float", "'1e'|float",
        "-5|abs", "neg|abs", "-2.5|abs", "'a'|abs", "nope|abs", "true|abs",
    ],
    "sequence filters": [
        "l|join", "l|join(', ')", "l|join(1)", "[1, none, 'a', nope]|join('-')", "messages|join(',', attribute='role')", "s|join('.')", "d|join(',')", "nope|join(',')", "none|join", "s|list", "d|list", "nope|list", "5|list", "l|first", "l|last", "empty|first", "empty|last", "s|first", "s|last", "d|first", "keys|last", "nope|first", "nope|last", "5|first", "l|sort", "words|sort", "words|sort(case_sensitive=true)", "l|sort(reverse=true)", "l|sort(true)", "messages|sort(attribute='role')|map(attribute='role')|list", "[[2, 'b'], [1, 'z'], [2, 'a']]|sort", "messages|sort(attribute='role,content')|map(attribute='content')|list", "[1, 'a']|sort", "[none, 1]|sort", "s|sort", "d|sort", "keys|dictsort", "keys|dictsort(true)", "keys|dictsort(by='value')", "keys|dictsort(reverse=true)", "keys|dictsort(by='x')", "l|dictsort", "{2: 'a', 1: 'b'}|dictsort",
        "words|unique|list", "words|unique(true)|list", "[1, 1.0, true, 2]|unique|list", "messages|unique(attribute='role')|map(attribute='role')|list", "l|reverse|list", "s|reverse", "accents|reverse", "(1, 2)|reverse|list", "range(3)|reverse|list", "d|reverse|list", "nope|reverse|list", "5|reverse", "l|map('string')|list", "words|map('upper')|join(' ')", "messages|map(attribute='role')|list", "messages|map(attribute='nope')|list", "messages|map(attribute='nope', default='x')|list", "nested|map('length')|list", "nested|map('first')|list", "nested|map(attribute=0)|list", "nested|map(attribute='0')|list", "[{'a': {'b': 1}}]|map(attribute='a.b')|list", "words|map('replace', 'p', 'P')|list", "words|map('default', 'x')|list", "l|map('nope')|list", "l|map|list", "l|map(attribute='x', nope=1)|list", "[1, [2]]|map('int')|list", "nope|map('upper')|list", "none|map('upper')|list",
        "l|select|list", "[0, 1, '', 'a', none]|select|list", "[0, 1, '', 'a', none]|reject|list", "l|select('odd')|list", "l|reject('odd')|list", "l|select('gt', 1)|list", "l|select('>', 1)|list", "l|select('in', [1, 2])|list", "l|select('eq', 1)|list", "words|select('equalto', 'fig')|list", "messages|selectattr('role', 'equalto', 'user')|list|length", "messages|selectattr('role', '==', 'user')|map(attribute='content')|list", "messages|rejectattr('role', 'eq', 'user')|map(attribute='role')|list", "messages|selectattr('content')|map(attribute='role')|list", "messages|rejectattr('content')|list|length", "messages|selectattr('nope', 'defined')|list", "messages|selectattr('nope')|list", "messages|selectattr|list", "l|select('nope')|list", "l|select('string')|first is defined", "nope|select|list", "messages|selectattr('role', 'in', ['user', 'system'])|list|length",
        "keys|items|list", "nope|items|list", "l|items|list", "l|min", "l|max", "words|min", "words|max(case_sensitive=true)", "empty|min", "messages|max(attribute='role')", "[1, 'a']|max", "l|sum", "[1.5, 2]|sum", "[{'a': 1}, {'a': 2}]|sum(attribute='a')", "l|sum(start=10)", "words|sum", "empty|sum", "l|map('string')|map('int')|sum", "(l|select('odd')) and 1", "(empty|select('odd')) and 1", "l|select('odd')|length", "l|map('string')|last", "range(3)|list", "range(1, 10, 3)|list", "range(5, 0, -2)|list", "range(0)|list", "range(3, 1)|list", "range(1, 2, 0)", "range(100001)|list|length", "range(100000)|length", "range('a')", "range()", "range(9223372036854775800, 9223372036854775807, 5)|list", "range(2.0)|list", "l|sort|first + 1", "-l|first", "-neg|abs", "l|first|string ~ '!'",
    ],
    "tojson": [
        "d|tojson", "schema|tojson", "schema|tojson(indent=2)", "schema|tojson(indent=4)", "accents|tojson", "accents|tojson(ensure_ascii=true)", "'\\x00\\x1f\\x7f\\n\\r\\t\\b\\f\\\\\"/<>&'|tojson", "quotes|tojson", "[1, 1.0, 1e20, -0.5, none, true, false]|tojson", "{}|tojson", "[]|tojson(indent=2)", "{'a': {}, 'b': []}|tojson(indent=1)", "(1, 2)|tojson", "nope|tojson", "[nope]|tojson", "{1: 2, none: 3, true: 4, 1.5: 5}|tojson", "keys|tojson(sort_keys=true)", "d|tojson(separators=(',', ':'))", "d|tojson(indent='  ')", "d|tojson(indent=0)", "('1e400'|float)|tojson", "('nan'|float)|tojson", "d.keys()|tojson", "range(3)|tojson", "(l|map('string'))|tojson", "s|tojson", "5|tojson", "'\\x7f\\u2028'|tojson(ensure_ascii=true)", "d|tojson(separators=[', ', ': '], indent=2)", "d|tojson(nope=1)", "messages|tojson", "none|tojson", "{'b': 1, 'a': [{'z': 1, 'y': 2}]}|tojson(sort_keys=true, indent=2)",
    ],
    "calls": [
        "nope()", "n()", "'a'()", "none()", "d.a()", "dict(a=1, b=2)", "dict({'a': 1}, b=2)", "dict()", "namespace(a=1).a", "namespace(a=1).b", "namespace({'x': 2}).x", "namespace(a=1)['a']", "raise_exception('no')", "namespace(_a=1).x", "dict(1)", "s.split(' ', 1, 2)",
    ],
    "precedence": [
        "1 + 2|string ~ 3", "(1 + 2)|string ~ 3", "-1|abs", "-(1|abs)", "not 1 == 2", "1 if true else 2|string", "'a' ~ 'b'|upper", "('a' ~ 'b')|upper", "1 + 1 == 2 and 3 > 2", "not n is odd", "2 ** 2|string", "l|length > 2", "l|length == 3 and s|length == 11", "'a' in 'abc' == true", "1 - -1", "n is odd and n > 3", "- n ** 2", "2 * -3", "1 ~ -1", "not 'x' in s", "s|upper|lower|length + 1", "s.upper()|lower", "(s|upper).lower()", "l[0] + l|last", "{'a': 1}['a'] + 1", "[1,2][0]|string", "d.b|length * 2", "1 in [1] and 2 in [2]", "s|replace('l', 'L')|trim ~ '.'",
    ],
}

TEMPLATES = {
    "text": ["", "plain", "a\n", "a\n\n", "\n", "a\r\nb\rc", "{ {} }", "a { b } %}", "{{ '}}' }}", "{{ '%}' }}{% if true %}x{% endif %}", "{{ {'a': {'b': 1}}['a']['b'] }}", "\u00e9{{ s }}\u4e16", "{{1}}{{2}}", "{{ 1 }}\n{{ 2 }}\n", "{{ s\n}}"],
    "white space": [
        "a {{- 1 -}} b", "a {{ 1 -}}   \n  b", "a\n  {{- 1 }} b", "a\n  {% if true %}\n    x\n  {% endif %}\nb", "{% if true %}\n\nx{% endif %}", "  {% if true %}x{% endif %}", "a  {% if true %}x{% endif %}  b", "a  {%- if true -%}  x  {%- endif -%}  b", "a\n  {%+ if true %}x{% endif %}", "{% if true +%}\nx{% endif %}", "a\n\t{% set x = 1 %}\n\t{{ x }}\n", "{% set x = 1 -%}\n\n  y", "x {#- c -#} y", "x\n  {# c #}\ny", "x {# c #} y", "{# a\nb #}\nx", "{#-#}\nx", "{# -#} \n x", "{#+ c +#}\nx", "a\n  {#+ c #}b", "x\u00a0{{- 1 }}", "{{ 1 -}}\u3000 x", "{%- if true %}\n a\n{%- endif %}", "\n\n{%- if true -%}\n\na\n\n{%- endif -%}\n\n", "{% if true %}\r\nx\r\n{% endif %}\r\ny", "{{ '\r\n' }}|", "  \n  {% for x in l %}\n  {{ x }}\n  {% endfor %}\n", "a {{+ 1 }}", "{% if true %} \nx{% endif %}", "x\n   {{ 1 }}", "{% set x %}\n  a\n{% endset %}[{{ x }}]", "{{ 1 }}  \n  {% if true %}y{% endif %}", "{% if true %}{% if true %}\nx\n{% endif %}\n{% endif %}\ny",
    ],
    "raw": ["{% raw %}{{ x }}{% endraw %}", "a {%- raw -%} {{ x }} {%- endraw -%} b", "{% raw %}\n{% if %}\n{% endraw %}\nx", "  {% raw %}x\n  {% endraw %}\ny", "{% raw %}{% endraw", "{% raw %}{%endraw%}{% raw %}a{% endraw %}"],
    "if": [
        "{% if n > 5 %}a{% else %}b{% endif %}", "{% if no %}a{% elif yes %}b{% else %}c{% endif %}", "{% if no %}a{% elif no %}b{% elif no %}c{% else %}d{% endif %}", "{% if no %}a{% endif %}", "{% if yes: %}a{% else: %}b{% endif %}", "{% if nope %}a{% else %}b{% endif %}", "{% if n == 7 and s is string %}x{% endif %}", "{% if (n, 1) %}x{% endif %}", "{% if yes %}{% set x = 1 %}{% endif %}{{ x }}", "{% if no %}{% set x = 1 %}{% endif %}{{ x }}", "{% if %}a{% endif %}", "{% if yes %}a", "{% if yes %}a{% endfor %}", "{% else %}", "{% endif %}", "{% if l %}a{% endif %}{% if empty %}b{% endif %}", "{% if yes %}a{% else %}b{% elif yes %}c{% endif %}", "{% if 1 if yes else 0 %}a{% endif %}",
    ],
    "for": [
        "{% for x in l %}{{ x }},{% endfor %}", "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }};{% endfor %}", "{% for x in empty %}a{% else %}none{% endfor %}", "{% for x in l %}a{% else %}none{% endfor %}", "{% for k, v in keys.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}", "{% for c in 'h\u00e9y' %}[{{ c }}]{% endfor %}", "{% for x in nope %}a{% else %}b{% endfor %}", "{% for x in none %}a{% endfor %}", "{% for x in 5 %}a{% endfor %}", "{% for a, b in nested %}{{ a }}{% endfor %}", "{% for a, b in [(1, 2), [3, 4]] %}{{ a }}-{{ b }} {% endfor %}", "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for (a, b) in [(1, 2)] %}{{ a }}{{ b }}{% endfor %}", "{% for x in l if x > 1 %}{{ x }}{{ loop.index }}{{ loop.last }}{{ loop.length }};{% endfor %}", "{% for x in l if x > 5 %}a{% else %}b{% endfor %}", "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }};{% endfor %}", "{% for x in l %}{% if loop.previtem is defined %}p{% endif %}{% if loop.nextitem is defined %}n{% endif %}{% endfor %}", "{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for x in l %}{% for y in l %}{{ loop.index }}{% endfor %}{{ loop.index }};{% endfor %}", "{% for x in l %}{{ loop.nope }}{% endfor %}", "{% for x in l %}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}",
        "{% for x in l %}{% set y = x %}{% endfor %}{{ y }}", "{% set y = 0 %}{% for x in l %}{{ y }}{% set y = y + x %}{{ y }};{% endfor %}{{ y }}", "{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}", "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for x in l %}{% break %}{% else %}never{% endfor %}", "{% break %}", "{% for x in l %}{% endfor %}{% continue %}", "{% for x in l %}{{ x }}{% endfor %}{{ x }}", "{% set x = 9 %}{% for x in l %}{{ x }}{% endfor %}{{ x }}", "{% for x in range(3) %}{{ x }}{% endfor %}", "{% for x in l[::-1] %}{{ x }}{% endfor %}", "{% for x in l|sort %}{{ x }}{% endfor %}", "{% for m in messages %}{{ m.role }}{% if not loop.last %}, {% endif %}{% endfor %}", "{% for x in 1, 2 %}{{ x }}{% endfor %}", "{% for x in (l if yes else empty) %}{{ x }}{% endfor %}", "{% for x in l if x is odd %}{{ x }}{% endfor %}", "{% for x in l|map('string') %}{{ loop.index }}{{ x }}{{ loop.last }}{% endfor %}", "{% for x in l|map('string') %}{{ loop.length }}{{ x }}{{ loop.revindex }}{% endfor %}",
        "{% set ns = namespace(stop=false) %}{% for x in l if not ns.stop %}{{ x }}{% set ns.stop = true %}{% endfor %}", "{% set ns = namespace(stop=false) %}{% for x in l if not ns.stop %}{{ x }}{{ loop.last }}{% set ns.stop = true %}{% endfor %}", "{% set ns = namespace(stop=false) %}{% for x in l if not ns.stop %}{{ x }}{{ loop.length }}{% set ns.stop = true %}{% endfor %}", "{% set ns = namespace(n=0) %}{% for x in l if x > ns.n %}{{ x }}{% set ns.n = x - 1 %}{{ loop.nextitem }};{% endfor %}", "{% for x in l %}{% set z = loop.index %}{% for y in [0] %}{{ z }}{% endfor %}{% endfor %}", "{% for x in l %}{{ loop|length }}{% endfor %}", "{% for loop in l %}{% endfor %}", "{% for x.y in l %}{% endfor %}", "{% for in l %}{% endfor %}", "{% for x l %}{% endfor %}", "{% for x in l %}", "{% for x in l %}{% else %}{% else %}{% endfor %}", "{% for x in l %}{{ x }}{% if loop.index == 2 %}{% break %}{% endif %}{% endfor %}.", "{% for x in l %}{% set t %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endset %}[{{ t }}]{% endfor %}",
    ],
    "set": [
        "{% set x = 1 %}{{ x }}", "{% set x = 1, 2 %}{{ x }}", "{% set a, b = 1, 2 %}{{ b }}{{ a }}", "{% set a, b = l %}", "{% set (a, b) = (1, 2) %}{{ a }}", "{% set x %}a{{ n }}b{% endset %}{{ x }}", "{% set x | upper %}abc{% endset %}{{ x }}", "{% set x | trim | replace('b', 'c') %}  ab  {% endset %}[{{ x }}]", "{% set ns = namespace(a=1) %}{% set ns.a = 2 %}{{ ns.a }}", "{% set ns = namespace() %}{% set ns.b = [1] %}{{ ns.b }}{{ ns.c }}", "{% set ns = namespace(c=0) %}{% for x in l %}{% set ns.c = ns.c + x %}{% endfor %}{{ ns.c }}", "{% set d.a = 1 %}", "{% set q.a = 1 %}", "{% set ns = namespace() %}{% set ns.a, ns.b = 1, 2 %}{{ ns.a }}{{ ns.b }}", "{% set x = 1 %}{% set x = x + 1 %}{{ x }}", "{% set n = 1 %}{{ n }}", "{% set true = 1 %}", "{% set x %}{% set y = 1 %}{{ y }}{% endset %}{{ x }}{{ y }}", "{% set ns = namespace(t='') %}{% set ns.t %}abc{% endset %}{{ ns.t }}", "{% set %}", "{% set x %}", "{% set x = %}", "{% set x == 1 %}", "{% set x = s if yes else l %}{{ x }}", "{% set ns = namespace(_x=1) %}", "{% set ns = namespace() %}{% set ns._x = 1 %}", "{% set ns = namespace(x=1) %}{{ ns.x is defined }}{{ ns.y is defined }}",
    ],
    "macros": [
        "{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=4, a=5) }}{{ m(1, b=6) }}", "{% macro m(a) %}[{{ a }}]{% endmacro %}{{ m() }}", "{% macro m() %}x{% endmacro %}{{ m(1) }}", "{% macro m() %}x{% endmacro %}{{ m(a=1) }}", "{% macro m(a) %}x{% endmacro %}{{ m(1, a=2) }}", "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(3) }}", "{% macro m() %}{{ n }}{% endmacro %}{{ m() }}", "{% macro m() %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}", "{% macro m(k) %}{% if k > 0 %}{{ k }}{{ m(k - 1) }}{% endif %}{% endmacro %}{{ m(3) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m('x')|upper }}", "{% macro m() %}{% set y = 1 %}{{ y }}{% endmacro %}{{ m() }}{{ y }}", "{% macro m() %}\n  x\n{% endmacro %}\n[{{ m() }}]", "{% macro m(a, a2=none) -%}\n  {{ a }}\n{%- endmacro %}{{ m(1) }}", "{% for x in l %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}", "{% macro m(a=nope) %}{{ a is defined }}{% endmacro %}{{ m() }}", "{% macro m(a='x') %}{{ a }}{% endmacro %}{{ m(none) }}{{ m(nope) }}|", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}", "{% macro m(a b) %}{% endmacro %}", "{% macro m(a=1, b) %}{% endmacro %}", "{% macro m %}{% endmacro %}", "{% macro m() %}", "{% macro m() %}{{ loop }}{% endmacro %}{% for x in l %}{{ m() }}{% endfor %}|", "{% macro m(x) %}{{ x }}{% endmacro %}{{ [1, 2]|map('m')|list }}", "{% macro m(x) %}{{ x }}{% endmacro %}{% set f = m %}{{ f(1) }}", "{% macro m(x) %}{% for y in x %}{{ loop.index }}{{ y }}{% endfor %}{% endmacro %}{{ m(l) }}", "{% macro m(x) %}a{% endmacro %}{{ m is callable }}{{ m(1) == 'a' }}", "{% if yes %}{% macro m() %}x{% endmacro %}{% endif %}{{ m() }}",
    ],
    "generation": [
        "{% generation %}abc{% endgeneration %}", "a{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}\n{% endfor %}", "{% generation %}{% set x = 1 %}{{ x }}{% endgeneration %}[{{ x }}]", "a\n  {% generation %}\n  x\n  {% endgeneration %}\nb", "{%- generation -%} x {%- endgeneration -%} y", "{% generation %}", "{% for x in l %}{% generation %}{{ x }}{% endgeneration %},{% endfor %}",
    ],
    "errors": [
        "{{", "{{ 1", "{% if", "{# x", "{{ 1 + }}", "{{ (1 }}", "{{ [1 }}", "{{ 1 ) }}", "{{ 'a }}", "{{ a b }}", "{{ | upper }}", "{{ a | }}", "{{ a.}}", "{{ a[ }}", "{{ f(a=1, 2) }}", "{{ f(a=1, a=2) }}", "{% nope %}", "{{ x is nope }}", "{{ x|nope }}", "{{ 1 $ 2 }}", "{{ a is }}", "{{ }}", "{% %}", "{% set x = 1", "{{ {1, 2} }}", "{{ {'a' 1} }}", "{{ 1..2 }}", "{{ a not b }}", "{{ not }}", "{{ ! a }}", "{{ a && b }}", "{{ ] }}", "{{ ( ] }}", "{{ 1 if }}",
    ],
}

# Jinja2 renders these; inlay refuses them, each with its sentence.
REFUSED = [
    "{{ (-8) ** (1/3) }}",  # a complex number
    "{{ 2 ** 64 }}",
    "{{ 9223372036854775807 + 1 }}",
    "{{ 9223372036854775808 }}",
    "{{ d.items }}",  # prints an address
    "{{ d.keys() }}",
    "{{ range(3) }}",
    "{{ l|map('string') }}",
    "{{ namespace(a=1) }}",
    "{% for x in l %}{{ loop }}{% endfor %}",
    "{{ '\\N{BULLET}' }}",
    "{{ 'straße'.upper() }}",
    "{{ 'Σ'|lower }}",
    "{{ 'straße'.casefold() }}",
    "{{ '一'.isnumeric() }}",
    "{{ 'é'.isidentifier() }}",
    "{{ 'a'.encode() }}",
    "{% set café = 1 %}",
    "{% generation %}{% generation %}x{% endgeneration %}{% endgeneration %}",
    "{{ if }}",
    "{{ joiner() }}",
    "{{ ''.__class__ is defined }}",
    "{{ [1]|random }}",  # another text each time
    "{{ lipsum(n=1)|length > 0 }}",
    "{{ 'www.example.org'|urlize }}",
    "{{ 'a &copy; b'|striptags }}",
    "{% autoescape true %}{{ '<' }}{% endautoescape %}",
    "{{ (l * 40)|pprint }}",
    "{{ 'a' is sameas ('A'|lower) }}",
    "{% block a %}x{% endblock %}{{ self.a() }}",
]
