package metrics

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A formula is what a derived metric computes: numbers, + - * /, parentheses, and the sums of other metrics. A metric's name alone is
// its value; name.numerator and name.denominator are its sums, which add up over groups as its value does not.
//
//	formula = term { ("+" | "-") term }
//	term    = factor { ("*" | "/") factor }
//	factor  = number | name [ "." ("numerator" | "denominator") ] | "-" factor | "(" formula ")"
type formula struct {
	root node
}

// node is a number, a reference, or an operation on left and right. Negation is 0 - right.
type node struct {
	operator    byte // 0 for a leaf
	left, right *node
	number      string // as written
	metric      string
	part        string // "", numerator or denominator
}

// deepest is how far parentheses and signs may be nested.
const deepest = 100

func parseFormula(text string) (*formula, error) {
	p := &formulaParser{rest: text, whole: text}
	root, err := p.sum(0)
	if err != nil {
		return nil, err
	}
	if next := p.peek(); next != "" {
		return nil, fmt.Errorf("%q is not expected after %q", next, strings.TrimSpace(strings.TrimSuffix(text, p.rest)))
	}
	return &formula{root}, nil
}

type formulaParser struct{ rest, whole string }

const (
	letters = "abcdefghijklmnopqrstuvwxyz_"
	digits  = "0123456789"
)

// peek is the next token: a name, a number or a single character; "" at the end.
func (p *formulaParser) peek() string {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	switch {
	case p.rest == "":
		return ""
	case strings.ContainsRune(letters, rune(p.rest[0])):
		return p.run(letters + digits)
	case strings.ContainsRune(digits, rune(p.rest[0])):
		return p.run(digits + ".")
	}
	for _, r := range p.rest {
		return string(r)
	}
	return ""
}

func (p *formulaParser) run(of string) string {
	return p.rest[:len(p.rest)-len(strings.TrimLeft(p.rest, of))]
}

func (p *formulaParser) take() string {
	token := p.peek()
	p.rest = strings.TrimPrefix(p.rest, token)
	return token
}

func (p *formulaParser) sum(depth int) (node, error) {
	return p.chain(depth, "+-", p.product)
}

func (p *formulaParser) product(depth int) (node, error) {
	return p.chain(depth, "*/", p.factor)
}

func (p *formulaParser) chain(depth int, operators string, operand func(int) (node, error)) (node, error) {
	left, err := operand(depth)
	for err == nil {
		token := p.peek()
		if token == "" || !strings.Contains(operators, token) {
			return left, nil
		}
		p.take()
		var right node
		if right, err = operand(depth); err == nil {
			l := left
			left = node{operator: token[0], left: &l, right: &right}
		}
	}
	return node{}, err
}

func (p *formulaParser) factor(depth int) (node, error) {
	if depth > deepest {
		return node{}, fmt.Errorf("it is nested more than %d deep", deepest)
	}
	token := p.take()
	switch {
	case token == "":
		return node{}, fmt.Errorf("it ends where a number, the name of a metric or a parenthesis is expected")
	case token == "-":
		right, err := p.factor(depth + 1)
		return node{operator: '-', left: &node{number: "0"}, right: &right}, err
	case token == "(":
		inner, err := p.sum(depth + 1)
		if err != nil {
			return node{}, err
		}
		if p.take() != ")" {
			return node{}, fmt.Errorf("a parenthesis is not closed")
		}
		return inner, nil
	case strings.Contains(digits, token[:1]):
		if _, err := strconv.ParseFloat(token, 64); err != nil {
			return node{}, fmt.Errorf("%q is not a number", token)
		}
		return node{number: token}, nil
	case !validName.MatchString(token):
		return node{}, fmt.Errorf("%q is not expected here", token)
	}
	leaf := node{metric: token}
	if p.peek() == "." {
		p.take()
		if leaf.part = p.take(); leaf.part != "numerator" && leaf.part != "denominator" {
			return node{}, fmt.Errorf("%s has no part %q; it has numerator and denominator", token, leaf.part)
		}
	}
	return leaf, nil
}

// metrics are the names that the formula refers to, in order.
func (f *formula) metrics() []string {
	names := map[string]bool{}
	f.root.visit(func(n *node) {
		if n.metric != "" {
			names[n.metric] = true
		}
	})
	return slices.Sorted(maps.Keys(names))
}

func (n *node) visit(fn func(*node)) {
	if n.operator != 0 {
		n.left.visit(fn)
		n.right.visit(fn)
	}
	fn(n)
}

// write gives the formula as an expression: number says a number, reference a metric's part, and quotient a division, which has to say
// what becomes of a division by zero.
func (n *node) write(reference func(metric, part string) string, quotient func(a, b string) string) string {
	switch n.operator {
	case 0:
		if n.metric == "" {
			return n.number
		}
		return reference(n.metric, n.part)
	case '/':
		return quotient(n.left.write(reference, quotient), n.right.write(reference, quotient))
	}
	return "(" + n.left.write(reference, quotient) + " " + string(n.operator) + " " + n.right.write(reference, quotient) + ")"
}

// sql is the formula over columns: reference names one, for a part "" an expression of the metric's value. A division by zero makes the
// whole NULL.
func (f *formula) sql(reference func(metric, part string) string) string {
	return f.root.write(reference, quotient)
}

func quotient(a, b string) string { return "(" + a + " / nullIf(" + b + ", 0))" }
