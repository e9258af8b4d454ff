//go:build ignore

// Generate writes characters.bin from the Unihan files of Unicode (Debian's package unicode-data):
//
//	go run generate.go /usr/share/unicode > characters.bin
//
// It keeps what is folded, and the characters of the standards of the mainland and of Taiwan. What it writes is
// compressed with gzip: the number of characters, then columns of that length, all big endian.
//
//	uint32  the character, less the one before it
//	uint32  the character that it is folded into: itself, or the common form of a traditional or variant one
//	uint16  its four-corner code without the fifth digit, plus one; 0 when not known
//	uint8   its number of strokes; 0 when not known
//	uint32  its Cangjie code, five bits a letter; 0 when not known
package main

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// read gives every line of a Unihan file.
func read(dir, file string, give func(r rune, property string, values []string)) {
	f, err := os.Open(filepath.Join(dir, file+".txt.bz2"))
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(bzip2.NewReader(f))
	for lines.Scan() {
		if part := strings.Split(lines.Text(), "\t"); len(part) == 3 && strings.HasPrefix(part[0], "U+") {
			give(character(part[0]), part[1], strings.Fields(part[2]))
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}

// character reads U+4F1F, with or without a source behind it.
func character(s string) rune {
	s, _, _ = strings.Cut(strings.TrimPrefix(s, "U+"), "<")
	n, err := strconv.ParseUint(s, 16, 32)
	if err != nil {
		log.Fatal(err)
	}
	return rune(n)
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: go run generate.go FOLDER-OF-UNIHAN-FILES > characters.bin")
	}
	dir := os.Args[1]

	// The characters of GB 2312 are what every system could store: none of them is folded into another.
	common, all := map[rune]bool{}, map[rune]bool{}
	read(dir, "Unihan_OtherMappings", func(r rune, property string, _ []string) {
		switch property {
		case "kGB0":
			common[r] = true
			all[r] = true
		case "kGB1", "kTGH", "kBigFive":
			all[r] = true
		}
	})
	fold := map[rune]rune{}
	alike := map[rune]rune{} // a variant with one meaning, of one character
	read(dir, "Unihan_Variants", func(r rune, property string, values []string) {
		to := character(values[0])
		switch property {
		case "kSimplifiedVariant":
			for _, v := range values { // where there are several, the common one
				if c := character(v); common[c] && !common[to] {
					to = c
				}
			}
			if to != r && !common[r] {
				fold[r] = to
			}
		case "kZVariant", "kSemanticVariant":
			for _, v := range values {
				if c := character(v); common[c] && !common[to] {
					to = c
				}
			}
			if _, known := alike[r]; !known && to != r && !common[r] {
				alike[r] = to
			}
		}
	})
	for r, to := range alike {
		if _, simple := fold[r]; simple {
			continue
		}
		if simple, ok := fold[to]; ok { // a variant of a traditional form
			to = simple
		}
		if common[to] {
			fold[r] = to
		}
	}

	corner, strokes, cangjie := map[rune]uint16{}, map[rune]uint8{}, map[rune]uint32{}
	read(dir, "Unihan_DictionaryLikeData", func(r rune, property string, values []string) {
		switch property {
		case "kFourCornerCode":
			digits, _, _ := strings.Cut(values[0], ".")
			if n, err := strconv.ParseUint(digits, 10, 16); err == nil && len(digits) == 4 {
				corner[r] = uint16(n) + 1
			}
		case "kCangjie":
			code := strings.TrimLeft(values[0], "XZ") // X and Z tell apart what has the same code
			if len(code) > 5 {
				return
			}
			for _, c := range code {
				cangjie[r] = cangjie[r]<<5 | uint32(c-'A'+1)
			}
		}
	})
	read(dir, "Unihan_IRGSources", func(r rune, property string, values []string) {
		if property == "kTotalStrokes" {
			if n, err := strconv.ParseUint(values[0], 10, 8); err == nil {
				strokes[r] = uint8(n)
			}
		}
	})

	for r := range fold {
		all[r] = true
	}
	sorted := slices.Sorted(maps.Keys(all))
	var out bytes.Buffer
	put := func(v any) {
		if err := binary.Write(&out, binary.BigEndian, v); err != nil {
			log.Fatal(err)
		}
	}
	put(uint32(len(sorted)))
	last := rune(0)
	for _, r := range sorted {
		put(uint32(r - last))
		last = r
	}
	for _, r := range sorted {
		if to, ok := fold[r]; ok {
			r = to
		}
		put(uint32(r))
	}
	for _, r := range sorted {
		put(corner[r])
	}
	for _, r := range sorted {
		put(strokes[r])
	}
	for _, r := range sorted {
		put(cangjie[r])
	}
	packed, err := gzip.NewWriterLevel(os.Stdout, gzip.BestCompression)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := packed.Write(out.Bytes()); err != nil {
		log.Fatal(err)
	}
	if err := packed.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Fprintln(os.Stderr, len(sorted), "characters,", len(fold), "folded")
}
