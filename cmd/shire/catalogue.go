package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/catalogue"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/contract"
)

func (a *app) catalogueCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "catalogue", Short: "What the county can share, made of the contracts: list, versions, export", Args: cobra.ArbitraryArgs, RunE: group,
	}
	cmd.AddCommand(a.catalogueList(), a.catalogueVersions(), a.catalogueExport())
	return cmd
}

func (a *app) catalogueList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the items of the catalogue; offline", Args: exactly(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			s, err := a.readSetup()
			if err != nil {
				return err
			}
			c := catalogue.Of(s.contracts)
			a.result = c
			if a.json {
				return nil
			}
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "DATASET\tTITLE\tOWNER\tSHARING\tSENSITIVITY\tUPDATED\tFIELDS")
			for _, i := range c.Items {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", i.Dataset, i.Title.Zh, i.Department, i.Sharing, i.Sensitivity, i.UpdateCycle, len(i.Fields))
			}
			return w.Flush()
		},
	}
}

func (a *app) catalogueVersions() *cobra.Command {
	return &cobra.Command{
		Use: "versions", Short: "List the versions of the catalogue, the newest first", Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withWarehouse(cmd.Context(), func(ctx context.Context, _ *setup, e *engines) error {
				conn, err := warehouse.Open(e.analyst)
				if err != nil {
					return err
				}
				defer conn.Close()
				list, err := clickhouse.CatalogueVersions(ctx, conn, 1000)
				if err != nil {
					return err
				}
				a.result = list
				for _, v := range list {
					a.say("%d  %s  since %s  %d items", v.Number, v.Hash[:12], v.Since.Local().Format(time.DateTime), v.Count)
				}
				return nil
			})
		},
	}
}

// catalogueFormats by the ending of the file.
var catalogueFormats = map[string]func(catalogue.Catalogue, io.Writer, catalogue.Publisher) error{
	".csv":    func(c catalogue.Catalogue, w io.Writer, _ catalogue.Publisher) error { return c.WriteCSV(w) },
	".xlsx":   func(c catalogue.Catalogue, w io.Writer, _ catalogue.Publisher) error { return c.WriteXLSX(w) },
	".jsonld": func(c catalogue.Catalogue, w io.Writer, by catalogue.Publisher) error { return c.WriteDCAT(w, by) },
	".json": func(c catalogue.Catalogue, w io.Writer, _ catalogue.Publisher) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(c)
	},
}

func (a *app) catalogueExport() *cobra.Command {
	var number uint32
	var measured bool
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write the catalogue to a .csv, .xlsx, .json or .jsonld file (DCAT)",
		Long: "Write the catalogue to a file whose ending says how: .csv, .xlsx, .json, or .jsonld for JSON-LD in the vocabulary DCAT 3.\n" +
			"It is made of the contracts and needs no engines; with --measured it says how fresh and how sound each item is, and with\n" +
			"--version it is an earlier version, as the warehouse keeps it.",
		Args: exactly(1, "the file to be written"),
		RunE: func(cmd *cobra.Command, args []string) error {
			write, ok := catalogueFormats[strings.ToLower(filepath.Ext(args[0]))]
			switch {
			case !ok:
				return inputf("the ending of %s says no format; write .csv, .xlsx, .json or .jsonld", args[0])
			case number > 0 && measured:
				return inputf("only the catalogue in use is measured; leave out --measured or --version")
			}
			return a.exportCatalogue(cmd.Context(), args[0], number, measured, write)
		},
	}
	cmd.Flags().Uint32Var(&number, "version", 0, "an earlier version, as shire catalogue versions lists them")
	cmd.Flags().BoolVar(&measured, "measured", false, "with the last load, the rows and the quarantined share of each item")
	return cmd
}

func (a *app) exportCatalogue(ctx context.Context, file string, number uint32, measured bool, write func(catalogue.Catalogue, io.Writer, catalogue.Publisher) error) error {
	s, err := a.readSetup()
	if err != nil {
		return err
	}
	c := catalogue.Of(s.contracts)
	if number > 0 || measured {
		err = a.withWarehouse(ctx, func(ctx context.Context, _ *setup, e *engines) error {
			conn, err := warehouse.Open(e.analyst)
			if err != nil {
				return err
			}
			defer conn.Close()
			if number > 0 {
				c, err = clickhouse.CatalogueAt(ctx, conn, number)
				if errors.Is(err, clickhouse.ErrNoVersion) {
					err = inputf("the catalogue has no version %d; see shire catalogue versions", number)
				}
				return err
			}
			list, err := clickhouse.CatalogueVersions(ctx, conn, 1)
			if err != nil {
				return err
			}
			if len(list) > 0 && list[0].Hash == c.Hash {
				c.Version = list[0]
			}
			m, err := warehouse.Measure(ctx, conn)
			c.Measure(m)
			return err
		})
	}
	if err != nil {
		return err
	}
	by := catalogue.Publisher{Division: s.config.County.Division, Name: contract.Text{Zh: s.config.County.NameZh, En: s.config.County.NameEn}}
	size, err := writeWhole("catalogue", file, func(w io.Writer) error { return write(c, w, by) })
	if err != nil {
		return err
	}
	a.result = map[string]any{"file": file, "bytes": size, "items": len(c.Items), "hash": c.Hash, "version": c.Number}
	a.say("%s: %d items", file, len(c.Items))
	return nil
}
