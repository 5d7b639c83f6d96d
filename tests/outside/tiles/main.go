// Reads a ledger from C2SP tlog-tiles files and checks it with Go's own implementation:
// the head's signature, every entry's inclusion, and that an older head is contained.
//
// usage: main FOLDER VERIFIER-KEY [OLDER-CHECKPOINT]
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func must(err error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func head(path, vkey string) tlog.Tree {
	verifier, err := note.NewVerifier(vkey)
	must(err, "key")
	text, err := os.ReadFile(path)
	must(err, "checkpoint")
	opened, err := note.Open(text, note.VerifierList(verifier))
	must(err, "signature")
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != verifier.Name() {
		must(fmt.Errorf("origin %q", lines[0]), "checkpoint")
	}
	var size int64
	_, err = fmt.Sscanf(lines[1], "%d", &size)
	must(err, "size")
	hash, err := tlog.ParseHash(lines[2])
	must(err, "root")
	return tlog.Tree{N: size, Hash: hash}
}

// read finds a tile's file: as Go names it, without the height that C2SP leaves out.
func read(folder string, tile tlog.Tile) ([]byte, error) {
	name := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
	return os.ReadFile(filepath.Join(folder, name))
}

type reader struct{ folder string }

func (r reader) Height() int { return height }

func (r reader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range tiles {
		data, err := read(r.folder, tile)
		if err != nil && tile.W < 1<<height {
			// A tile that has become full in the meantime stands for its beginning.
			full := tile
			full.W = 1 << height
			data, err = read(r.folder, full)
		}
		if err != nil {
			return nil, err
		}
		found = append(found, data[:tile.W*tlog.HashSize])
	}
	return found, nil
}

func (r reader) SaveTiles([]tlog.Tile, [][]byte) {}

func entries(folder string, size int64) [][]byte {
	var found [][]byte
	for start := int64(0); start < size; start += 1 << height {
		width := size - start
		if width > 1<<height {
			width = 1 << height
		}
		tile := tlog.Tile{H: height, L: 0, N: start >> height, W: int(width)}
		name := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/0/", height), "tile/entries/", 1)
		data, err := os.ReadFile(filepath.Join(folder, name))
		must(err, "bundle")
		for len(data) > 0 {
			length := int(binary.BigEndian.Uint16(data))
			found = append(found, data[2:2+length])
			data = data[2+length:]
		}
	}
	return found
}

func main() {
	folder, vkey := os.Args[1], os.Args[2]
	tree := head(filepath.Join(folder, "checkpoint"), vkey)
	hashes := tlog.TileHashReader(tree, reader{folder})
	told := entries(folder, tree.N)
	if int64(len(told)) != tree.N {
		must(fmt.Errorf("%d of %d", len(told), tree.N), "entries")
	}
	for index, entry := range told {
		proof, err := tlog.ProveRecord(tree.N, int64(index), hashes)
		must(err, "proof")
		must(tlog.CheckRecord(proof, tree.N, tree.Hash, int64(index), tlog.RecordHash(entry)), "inclusion")
	}
	if len(os.Args) > 3 {
		older := head(os.Args[3], vkey)
		proof, err := tlog.ProveTree(tree.N, older.N, hashes)
		must(err, "proof")
		must(tlog.CheckTree(proof, tree.N, tree.Hash, older.N, older.Hash), "consistency")
		fmt.Printf("contains the head of %d, ", older.N)
	}
	fmt.Printf("%d entries hold\n", tree.N)
}
