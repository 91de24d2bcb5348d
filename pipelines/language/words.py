"""The words and signs of the expression language (expr-lang): operators by how tightly they bind, and its own functions."""

UNARY = {"not": 50, "!": 50, "-": 90, "+": 90}
BINARY = {
    "|": 0,
    **dict.fromkeys(("or", "||"), 10),
    **dict.fromkeys(("and", "&&"), 15),
    **dict.fromkeys(("==", "!=", "<", ">", ">=", "<=", "in", "matches", "contains", "startsWith", "endsWith"), 20),
    "..": 25,
    **dict.fromkeys(("+", "-"), 30),
    **dict.fromkeys(("*", "/", "%"), 60),
    **dict.fromkeys(("**", "^"), 100),
    "??": 500,
}
RIGHT = {"**", "^"}
COMPARISONS = {"<", ">", ">=", "<="}
NEGATABLE = {"contains", "matches", "startsWith", "endsWith", "in"}
SYNONYMS = {"and": "&&", "or": "||", "not": "!", "^": "**"}
# Which arguments of a function over lists are predicates, and how many arguments must be given.
PREDICATES = {
    **dict.fromkeys(("all", "none", "any", "one", "filter", "map", "find", "findIndex", "findLast", "findLastIndex", "groupBy"), 2),
    **dict.fromkeys(("count", "sum"), 1),
    **dict.fromkeys(("sortBy", "reduce"), 2),
}
BUILTINS = frozenset(
    [
        *("abs", "bitand", "bitnand", "bitnot", "bitor", "bitshl", "bitshr", "bitushr", "bitxor", "ceil", "concat", "date", "duration"),
        *("first", "flatten", "float", "floor", "fromBase64", "fromJSON", "fromPairs", "get", "hasPrefix", "hasSuffix", "indexOf", "int"),
        *("join", "keys", "last", "lastIndexOf", "len", "lower", "max", "mean", "median", "min", "now", "repeat", "replace", "reverse"),
        *("round", "sort", "split", "splitAfter", "string", "take", "timezone", "toBase64", "toJSON", "toPairs", "trim", "trimPrefix"),
        *("trimSuffix", "type", "uniq", "upper", "values"),
    ]
)
