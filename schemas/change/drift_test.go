package change_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/klauspost/compress/s2"

	"github.com/shirecounty/shire/schemas/change"
)

// What is said of a batch goes with each part of it, over the wire and back.
func TestDriftTravels(t *testing.T) {
	want := []change.Drift{{Code: change.NewColumn, Column: "电话"}, {Code: change.ChangedType, Column: "n", Was: "int", Is: `var"char`}}
	b := change.NewBuilder("s", "d", "x", "u", []string{"a"})
	defer b.Release()
	b.Drift = want
	b.Append(change.Change{Op: change.Create, Key: "1", Values: []string{"v"}})
	out := roundTrip(t, b.Build())
	if !slices.Equal(out.Drift, want) {
		t.Fatalf("%+v", out.Drift)
	}
	part := change.NewBuilderLike(out)
	defer part.Release()
	part.Append(change.Change{Op: change.Create, Key: "1", Values: []string{"v"}})
	if again := roundTrip(t, part.Build()); !slices.Equal(again.Drift, want) || again.Unit != "u" || again.Source != "s" || again.Department != "d" || again.Dataset != "x" {
		t.Fatalf("%+v", again)
	}
}

func TestDecodeRefusesDamagedDrift(t *testing.T) {
	b := change.NewBuilder("s", "d", "x", "u", []string{"a"})
	defer b.Release()
	b.Drift = []change.Drift{{Code: change.NewColumn, Column: "a"}}
	b.Append(change.Change{Op: change.Create, Key: "1", Values: []string{"v"}})
	data, err := b.Build().Encode()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := s2.Decode(nil, data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := change.Decode(bytes.Replace(plain, []byte(`[{"code"`), []byte(`[[[[[[[[`), 1)); err == nil {
		t.Error("damaged drift was decoded")
	}
}
