package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shirecounty/shire/portal/accounts"
)

func TestReviewersCommand(t *testing.T) { testAccounts(t, reviewerAccounts, accounts.ReviewersFile) }

func TestOperatorsCommand(t *testing.T) { testAccounts(t, operatorAccounts, accounts.OperatorsFile) }

func TestClerksCommand(t *testing.T) {
	of := clerkAccounts
	of.ofDepartment = false // which department there are is for county.yaml to say
	testAccounts(t, of, accounts.ClerksFile)
}

func testAccounts(t *testing.T, of accountsOf, file string) {
	t.Parallel()
	dir := t.TempDir()
	var out bytes.Buffer
	do := func(args ...string) (string, error) {
		out.Reset()
		a := &app{out: &out, data: dir}
		cmd := a.accountsCommand("accounts", of)
		cmd.SetArgs(args)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		err := cmd.Execute()
		return out.String(), err
	}
	if text, err := do("list"); err != nil || !strings.Contains(text, "There are no "+of.one+"s; add one with: shire "+of.command) {
		t.Errorf("%s %v", text, err)
	}
	text, err := do("add", "李梅")
	_, rest, _ := strings.Cut(text, "password: ")
	password, _, _ := strings.Cut(rest, "\n")
	if ok, checked := of.file(dir).Check("李梅", password); err != nil || !ok || checked != nil {
		t.Errorf("the password that was printed opens nothing: %s %v %v", text, err, checked)
	}
	if content, _ := os.ReadFile(filepath.Join(dir, file)); bytes.Contains(content, []byte(password)) {
		t.Error("the password is kept")
	}
	if text, err := do("list"); err != nil || !strings.Contains(text, "李梅") || strings.Contains(text, "$2a") {
		t.Errorf("%s %v", text, err)
	}
	for _, args := range [][]string{{"add", "李梅"}, {"add", ""}, {"add"}, {"remove", "王强"}, {"remov", "李梅"}} {
		var mistake *inputError
		if _, err := do(args...); !errors.As(err, &mistake) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if _, err := do("remove", "王强"); err == nil || !strings.Contains(err.Error(), "there is no "+of.one+" of this name; see shire "+of.command+" list") {
		t.Errorf("nobody is removed: %v", err)
	}
	if text, err := do("remove", "李梅"); err != nil || !strings.Contains(text, "may not sign in any more") {
		t.Errorf("%s %v", text, err)
	}
}
