// kstatus reads a JSON list of objects and prints what kstatus says of each, one word a line.
package main

import (
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kstatus:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	var objects []any
	if err := json.Unmarshal(text, &objects); err != nil {
		return err
	}
	for _, each := range objects {
		object, isObject := each.(map[string]any)
		if !isObject {
			return fmt.Errorf("no object: %v", each)
		}
		result, err := status.Compute(&unstructured.Unstructured{Object: object})
		if err != nil {
			return err
		}
		fmt.Println(result.Status)
	}
	return nil
}
