// Answers of the libraries that Argo's controller uses, for the table in expressions.json.
//
// Reads cases as JSON lines on stdin ({"kind": "expr" or "when", "text": ..., "environment": {...}}) and writes each with
// "json" (the value as encoding/json writes it) or "error". In a module that requires
// github.com/argoproj/argo-workflows/v4 v4.0.7: go run . < cases.jsonl
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/Knetic/govaluate"
	exprenv "github.com/argoproj/argo-workflows/v4/util/expr/env"
	"github.com/expr-lang/expr"
)

type record struct {
	Kind        string         `json:"kind"`
	Text        string         `json:"text"`
	Environment map[string]any `json:"environment"`
	JSON        string         `json:"json,omitempty"`
	Error       string         `json:"error,omitempty"`
}

func evaluate(r record) (value any, err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("%v", caught)
		}
	}()
	if r.Kind == "expr" {
		environment := exprenv.GetFuncMap(r.Environment)
		program, err := expr.Compile(r.Text, expr.Env(environment))
		if err != nil {
			return nil, err
		}
		return expr.Run(program, environment)
	}
	expression, err := govaluate.NewEvaluableExpression(r.Text)
	if err != nil {
		return nil, err
	}
	tokens := expression.Tokens()
	for i := range tokens {
		if tokens[i].Kind == govaluate.VARIABLE {
			tokens[i].Kind = govaluate.STRING
		}
	}
	expression, err = govaluate.NewEvaluableExpressionFromTokens(tokens)
	if err != nil {
		return nil, err
	}
	return expression.Evaluate(nil)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<20)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			panic(err)
		}
		value, err := evaluate(r)
		var text []byte
		if err == nil {
			text, err = json.Marshal(value)
		}
		if err != nil {
			r.Error = err.Error()
		} else {
			r.JSON = string(text)
		}
		line, _ := json.Marshal(r)
		fmt.Println(string(line))
	}
}
