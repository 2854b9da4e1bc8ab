package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
)

// An error where the solution can change a variable of a package that the suite speaks of, such as
// io.EOF: it assigns to it, or takes its address.
func keepsVariables(fset *token.FileSet, solution, suite *ast.File, available *packages) error {
	needed := map[string]bool{}
	ast.Inspect(suite, func(node ast.Node) bool {
		if name := qualified(node, suite, available); name != "" {
			needed[name] = true
		}
		return true
	})
	var found error
	changed := func(place ast.Expr) {
		for inner, ok := place.(*ast.ParenExpr); ok; inner, ok = place.(*ast.ParenExpr) {
			place = inner.X
		}
		if name := qualified(place, solution, available); needed[name] && found == nil {
			found = fmt.Errorf("%s: the suite needs %s as it is", fset.Position(place.Pos()), name)
		}
	}
	ast.Inspect(solution, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.AssignStmt:
			for _, place := range node.Lhs {
				changed(place)
			}
		case *ast.RangeStmt:
			changed(node.Key)
			changed(node.Value)
		case *ast.UnaryExpr:
			if node.Op == token.AND {
				changed(node.X)
			}
		}
		return true
	})
	return found
}

// What `node` names of an imported package, as its path, a dot and the name; else empty.
func qualified(node ast.Node, file *ast.File, available *packages) string {
	switch node := node.(type) {
	case *ast.SelectorExpr:
		base, ok := node.X.(*ast.Ident)
		if !ok || base.Obj != nil {
			return ""
		}
		for _, spec := range file.Imports {
			name := path.Base(importPath(spec))
			if spec.Name != nil {
				name = spec.Name.Name
			}
			if name == base.Name {
				return importPath(spec) + "." + node.Sel.Name
			}
		}
		return available.byName(base.Name) + "." + node.Sel.Name
	case *ast.Ident:
		for _, spec := range file.Imports {
			if spec.Name != nil && spec.Name.Name == "." && node.Obj == nil {
				return importPath(spec) + "." + node.Name
			}
		}
	}
	return ""
}
