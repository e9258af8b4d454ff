package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

//go:embed splink_county.py
var splinkCounty string

// peerPackages are what the peer's script needs; the newest that there are.
var peerPackages = []string{"splink>=4,<5", "duckdb", "pandas"}

const installWithin = 10 * time.Minute

// readyPython finds a Python that has Splink, and makes one in dir when the one that was named does not.
func readyPython(ctx context.Context, named, dir string) (python string, err error) {
	python, err = exec.LookPath(named)
	if err != nil {
		return "", fmt.Errorf("there is no %s", named)
	}
	if exec.CommandContext(ctx, python, "-c", "import splink, duckdb, pandas").Run() == nil {
		return python, nil
	}
	ctx, cancel := context.WithTimeout(ctx, installWithin)
	defer cancel()
	venv := filepath.Join(dir, "venv")
	if err := quietly(exec.CommandContext(ctx, python, "-m", "venv", venv)); err != nil {
		return "", fmt.Errorf("no virtual environment could be made: %w", err)
	}
	python = filepath.Join(venv, "bin", "python")
	fmt.Println("identity: installing", strings.Join(peerPackages, ", "))
	pip := []string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check"}
	if err := quietly(exec.CommandContext(ctx, python, append(pip, peerPackages...)...)); err != nil {
		return "", fmt.Errorf("installing it failed: %w", err)
	}
	return python, nil
}

// quietly runs a command, and when it fails tells the last thing that it said.
func quietly(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if lines := strings.Split(strings.TrimSpace(string(out)), "\n"); lines[len(lines)-1] != "" {
		err = errors.New(lines[len(lines)-1])
	}
	return err
}

// writeScript puts the peer's script where Python can read it.
func writeScript(dir string) (string, error) {
	path := filepath.Join(dir, "splink_county.py")
	return path, os.WriteFile(path, []byte(splinkCounty), 0o644)
}
