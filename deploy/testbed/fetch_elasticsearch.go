//go:build unix

package testbed

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	esZip    = "elasticsearch-" + ElasticsearchVersion + ".zip"
	esHome   = "elasticsearch-" + ElasticsearchVersion
	esPlugin = "edrwatch-testbed"
)

// Elasticsearch returns the home directory of an unpacked Elasticsearch with the
// testbed's plugin in it, fetching and compiling when it is not there.
func (c *Cache) Elasticsearch(ctx context.Context) (string, error) {
	zipDir, err := c.once(esHome+"-zip", "Elasticsearch "+ElasticsearchVersion+" (107 MB)", func(stage string) error {
		return maven(ctx, "elasticsearch", stage)
	})
	if err != nil {
		return "", err
	}
	plugin, err := fingerprint(sources, "es-plugin/*")
	if err != nil {
		return "", err
	}
	dir, err := c.once(esHome+"-"+plugin, "Elasticsearch's test plugin", func(stage string) error {
		if err := unzip(filepath.Join(zipDir, esZip), stage); err != nil {
			return err
		}
		return buildPlugin(ctx, filepath.Join(stage, esHome))
	})
	return filepath.Join(dir, esHome), err
}

// buildPlugin compiles the testbed's plugin against the jars of home and installs it there.
func buildPlugin(ctx context.Context, home string) error {
	java, err := findJava()
	if err != nil {
		return err
	}
	javac, err := findJDKTool(java, "javac")
	if err != nil {
		return err
	}
	jar, err := findJDKTool(java, "jar")
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "testbed-plugin-")
	if err != nil {
		return fmt.Errorf("creating plugin directory: %w", err)
	}
	defer os.RemoveAll(work)
	source, err := fs.Sub(sources, "es-plugin")
	if err != nil {
		return fmt.Errorf("reading plugin sources: %w", err)
	}
	if err := os.CopyFS(work, source); err != nil {
		return fmt.Errorf("writing plugin sources: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(work, "*.java"))
	if err != nil {
		return fmt.Errorf("finding plugin sources: %w", err)
	}
	classes := filepath.Join(work, "classes")
	classpath := filepath.Join(home, "lib", "*") + ":" + filepath.Join(home, "modules", "x-pack-core", "*")
	args := []string{"--release", "17", "-proc:none", "-cp", classpath, "-d", classes}
	if err := runTool(ctx, work, nil, javac, append(args, files...)...); err != nil {
		return err
	}
	target := filepath.Join(home, "plugins", esPlugin)
	if err := os.MkdirAll(target, 0o755); err != nil {
		return fmt.Errorf("creating plugin directory: %w", err)
	}
	if err := runTool(ctx, work, nil, jar, "--create", "--file", filepath.Join(target, esPlugin+".jar"), "-C", classes, "."); err != nil {
		return err
	}
	return copyFile(filepath.Join(work, "plugin-descriptor.properties"), filepath.Join(target, "plugin-descriptor.properties"))
}

// unzip unpacks an archive whose checksum has been verified.
func unzip(archive, dir string) (err error) {
	r, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("opening %s: %w", archive, err)
	}
	defer r.Close()
	for _, f := range r.File {
		if !filepath.IsLocal(f.Name) {
			return fmt.Errorf("unpacking %s: path %q leaves the directory", archive, f.Name)
		}
		path := filepath.Join(dir, f.Name)
		if strings.HasSuffix(f.Name, "/") {
			err = os.MkdirAll(path, 0o755)
		} else {
			err = unzipFile(f, path)
		}
		if err != nil {
			return fmt.Errorf("unpacking %s: %w", archive, err)
		}
	}
	return nil
}

func unzipFile(f *zip.File, path string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, f.Mode().Perm()|0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copying file: %w", err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return fmt.Errorf("copying file: %w", err)
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return fmt.Errorf("copying file: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, in); err != nil {
		return fmt.Errorf("copying %s: %w", from, err)
	}
	return nil
}

// linkTree makes a copy of a directory tree, of hard links where it can.
func linkTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		if os.Link(path, target) == nil {
			return nil
		}
		return copyFile(path, target)
	})
}
