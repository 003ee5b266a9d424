// Verify judges a ledger that was exported as a folder of tlog-tiles, by the code of Go's checksum database:
// nothing that wrote the folder has a part in it.
//
//	verify -log VKEY [-witness VKEY]... FOLDER [PIN]...
//
// A PIN is an older checkpoint of the log. It prints "ok ..." and ends with 0, or "FAIL: ..." and ends with 1.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	height  = 8   // a tile has 1<<height hashes
	levels  = 8   // 256 to the 8th leaves are more than a size can say
	samples = 100 // inclusion proofs, spread over the tree
)

func main() {
	var vkey string
	var witnesses []note.Verifier
	flag.StringVar(&vkey, "log", "", "the log's `vkey`")
	flag.Func("witness", "the `vkey` of a witness that must have cosigned", func(text string) error {
		witness, err := newWitness(text)
		witnesses = append(witnesses, witness)
		return err
	})
	flag.Parse()
	log, err := note.NewVerifier(vkey)
	if err != nil || flag.NArg() < 1 {
		fmt.Fprintln(os.Stderr, "verify -log VKEY [-witness VKEY]... FOLDER [PIN]...")
		os.Exit(2)
	}
	folder, pins := filepath.Clean(flag.Arg(0)), flag.Args()[1:]

	tree := openCheckpoint(filepath.Join(folder, "checkpoint"), log, witnesses...)
	tiles := tiles{folder, tree.N}
	tiles.checkNames()
	hashes := tiles.hashEntries()
	root, err := tlog.TreeHash(tree.N, hashes)
	check("the root", err)
	if root != tree.Hash {
		fail("the checkpoint's root is not that of the entries")
	}
	tiles.checkHashes(hashes)
	reader := tlog.TileHashReader(tree, tiles)
	checkInclusion(tree, hashes, reader)
	for _, pin := range pins {
		checkPin(pin, openCheckpoint(pin, log), tree, reader)
	}
	fmt.Printf("ok %s: %d entries, %d witnesses, %d pins\n", log.Name(), tree.N, len(witnesses), len(pins))
}

func fail(format string, args ...any) {
	fmt.Printf("FAIL: "+format+"\n", args...)
	os.Exit(1)
}

func check(what string, err error) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

func read(path string) []byte {
	data, err := os.ReadFile(path)
	check("reading", err)
	return data
}

// openCheckpoint gives the tree that a signed note speaks of, if all who are asked have signed it.
func openCheckpoint(path string, log note.Verifier, witnesses ...note.Verifier) tlog.Tree {
	asked := append([]note.Verifier{log}, witnesses...)
	signed, err := note.Open(read(path), note.VerifierList(asked...))
	check(path, err)
	if len(signed.Sigs) != len(asked) {
		fail("%s: %d of the %d who must sign it did", path, len(signed.Sigs), len(asked))
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != log.Name() {
		fail("%s: not a checkpoint of this log", path)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(path, err)
	if size < 1 {
		fail("%s: no log has that size", path)
	}
	root, err := tlog.ParseHash(lines[2])
	check(path, err)
	return tlog.Tree{N: size, Hash: root}
}

// tiles is the folder of the tiles of a tree of some size, and a tlog.TileReader of those that hold hashes.
type tiles struct {
	folder string
	size   int64
}

func (tiles) Height() int                     { return height }
func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tiles) ReadTiles(tiles []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range tiles {
		data = append(data, read(t.path(tile)))
	}
	return data, nil
}

// path differs from Go's in that the height is not in it, and in the name of the tiles that hold entries.
func (t tiles) path(tile tlog.Tile) string {
	path := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", height))
	if tile.L == -1 {
		path = "entries" + strings.TrimPrefix(path, "data")
	}
	return filepath.Join(t.folder, "tile", path)
}

// row lists the tiles of one level. Those that hold entries have level -1.
func (t tiles) row(level int) (row []tlog.Tile) {
	count := t.size
	if level > 0 {
		count >>= level * height
	}
	for n := int64(0); n < count; n += 1 << height {
		width := count - n
		if width > 1<<height {
			width = 1 << height
		}
		row = append(row, tlog.Tile{H: height, L: level, N: n >> height, W: int(width)})
	}
	return row
}

// checkNames finds files that the tree does not call for. One that is missing is missed when it is read.
func (t tiles) checkNames() {
	wanted := map[string]bool{filepath.Join(t.folder, "checkpoint"): true}
	for level := -1; level < levels; level++ {
		for _, tile := range t.row(level) {
			wanted[t.path(tile)] = true
		}
	}
	err := filepath.WalkDir(t.folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !wanted[path] {
			fail("%s does not belong there", path)
		}
		return err
	})
	check("the folder", err)
}

// storedHashes has every hash of a tree, numbered as tlog numbers them.
type storedHashes []tlog.Hash

func (s storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		found[i] = s[index]
	}
	return found, nil
}

// hashEntries makes the tree anew from the entries alone.
func (t tiles) hashEntries() (stored storedHashes) {
	count := int64(0)
	for _, tile := range t.row(-1) {
		path := t.path(tile)
		rest := read(path)
		for i := 0; i < tile.W; i++ {
			if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
				fail("%s ends too early", path)
			}
			end := 2 + int(binary.BigEndian.Uint16(rest))
			more, err := tlog.StoredHashes(count, rest[2:end], stored)
			check(path, err)
			stored, count, rest = append(stored, more...), count+1, rest[end:]
		}
		if len(rest) > 0 {
			fail("%s has more than its entries", path)
		}
	}
	return stored
}

// checkHashes compares each hash tile with the one that the entries make.
func (t tiles) checkHashes(hashes storedHashes) {
	for level := 0; level < levels; level++ {
		for _, tile := range t.row(level) {
			made, err := tlog.ReadTileData(tile, hashes)
			check(t.path(tile), err)
			if !bytes.Equal(read(t.path(tile)), made) {
				fail("%s is not the tile that the entries make", t.path(tile))
			}
		}
	}
}

// checkInclusion proves leaves, from the first to the last, as a client does who has tiles but not all entries.
func checkInclusion(tree tlog.Tree, hashes storedHashes, reader tlog.HashReader) {
	for i := int64(0); i < samples; i++ {
		n := i * (tree.N - 1) / (samples - 1)
		about := fmt.Sprintf("the proof of entry %d", n)
		proof, err := tlog.ProveRecord(tree.N, n, reader)
		check(about, err)
		check(about, tlog.CheckRecord(proof, tree.N, tree.Hash, n, hashes[tlog.StoredHashIndex(0, n)]))
	}
}

// checkPin proves from the tiles that the tree has grown out of an older one.
func checkPin(path string, older, tree tlog.Tree, reader tlog.HashReader) {
	if older.N > tree.N {
		fail("%s: the log was cut: it had %d entries then and has %d now", path, older.N, tree.N)
	}
	proof, err := tlog.ProveTree(tree.N, older.N, reader)
	check(path, err)
	if tlog.CheckTree(proof, tree.N, tree.Hash, older.N, older.Hash) != nil {
		fail("%s: the log was rewritten: it has not grown out of this one", path)
	}
}

// witness is a key of C2SP's tlog-cosignature/v1, which x/mod does not know.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func newWitness(vkey string) (note.Verifier, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("not a vkey")
	}
	material, err := base64.StdEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(material) != 1+ed25519.PublicKeySize || material[0] != 4 {
		return nil, errors.New("not the vkey of a witness")
	}
	id := sha256.Sum256(append([]byte(parts[0]+"\n"), material...))
	if fmt.Sprintf("%x", id[:4]) != parts[1] {
		return nil, errors.New("not the key's id")
	}
	return witness{parts[0], binary.BigEndian.Uint32(id[:]), material[1:]}, nil
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.hash }

func (w witness) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	moment := binary.BigEndian.Uint64(signature)
	signed := append([]byte(fmt.Sprintf("cosignature/v1\ntime %d\n", moment)), text...)
	return ed25519.Verify(w.key, signed, signature[8:])
}
