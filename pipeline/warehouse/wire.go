package warehouse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	ch "github.com/ClickHouse/clickhouse-go/v2"
)

// wire is one connection of the native protocol, for whole blocks: the driver gives rows one by one, which takes ten times
// as long. It speaks a revision of the protocol that is old enough to have nothing optional, and does not compress.
type wire struct {
	conn net.Conn
	in   *proto.Reader
	out  proto.Buffer
}

const (
	wireRevision = int(proto.FeatureQueryStartTime)
	wireSilence  = 5 * time.Minute // the longest that the server may take for anything
)

func (a Address) wire(ctx context.Context) (_ *wire, err error) {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	var conn net.Conn
	if a.TLS != nil {
		conn, err = (&tls.Dialer{NetDialer: dialer, Config: a.TLS}).DialContext(ctx, "tcp", a.Native)
	} else {
		conn, err = dialer.DialContext(ctx, "tcp", a.Native)
	}
	if err != nil {
		return nil, fmt.Errorf("ClickHouse at %s: %w", a.Native, err)
	}
	w := &wire{conn: conn, in: proto.NewReader(conn)}
	if err := w.greet(a); err != nil {
		conn.Close()
		return nil, fmt.Errorf("ClickHouse at %s: %w", a.Native, err)
	}
	return w, nil
}

func (w *wire) greet(a Address) error {
	proto.ClientHello{Name: "shire", Major: 1, ProtocolVersion: wireRevision, Database: "default", User: a.User, Password: a.Password}.Encode(&w.out)
	if err := w.flush(); err != nil {
		return err
	}
	code, err := w.next()
	if err != nil {
		return err
	}
	if code != proto.ServerCodeHello {
		return fmt.Errorf("it greets with packet %v", code)
	}
	var hello proto.ServerHello
	return hello.DecodeAware(w.in, wireRevision)
}

// ending has ctx end the connection; the returned function says whether it did.
func (w *wire) ending(ctx context.Context) (stop func(error) error) {
	end := context.AfterFunc(ctx, func() { w.conn.Close() })
	return func(err error) error {
		end()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
}

func (w *wire) close() { w.conn.Close() }

func (w *wire) flush() error {
	if err := w.conn.SetWriteDeadline(time.Now().Add(wireSilence)); err != nil {
		return err
	}
	_, err := w.conn.Write(w.out.Buf)
	w.out.Reset()
	return err
}

// next is the code of the next packet. A packet that says that the query failed is the error.
func (w *wire) next() (proto.ServerCode, error) {
	if err := w.conn.SetReadDeadline(time.Now().Add(wireSilence)); err != nil {
		return 0, err
	}
	n, err := w.in.UVarInt()
	if err != nil {
		return 0, err
	}
	code := proto.ServerCode(n)
	if code != proto.ServerCodeException {
		return code, nil
	}
	var e proto.Exception
	if err := e.DecodeAware(w.in, wireRevision); err != nil {
		return 0, err
	}
	return 0, &ch.Exception{Code: int32(e.Code), Name: e.Name, Message: e.Message}
}

// query sends a query and that it brings no tables of its own.
func (w *wire) query(body string, settings []proto.Setting) error {
	proto.Query{
		Body: body, Stage: proto.StageComplete, Compression: proto.CompressionDisabled, Settings: settings,
		Info: proto.ClientInfo{ProtocolVersion: wireRevision, Major: 1, Interface: proto.InterfaceTCP, Query: proto.ClientQueryInitial, InitialAddress: "0.0.0.0:0", ClientName: "shire"},
	}.EncodeAware(&w.out, wireRevision)
	if err := w.block(0, nil); err != nil {
		return err
	}
	return w.flush()
}

// block appends a block to what is sent next; one without columns is the last.
func (w *wire) block(rows int, columns []proto.InputColumn) error {
	proto.ClientCodeData.Encode(&w.out)
	proto.ClientData{}.EncodeAware(&w.out, wireRevision)
	return proto.Block{Columns: len(columns), Rows: rows, Info: proto.BlockInfo{BucketNum: -1}}.EncodeBlock(&w.out, wireRevision, columns)
}

// errEnd says that the query has ended well.
var errEnd = errors.New("the query has ended")

// receive reads packets up to the next block and gives its number of rows; the error is errEnd at the end.
func (w *wire) receive(into proto.Result) (rows int, err error) {
	for {
		code, err := w.next()
		if err != nil {
			return 0, err
		}
		switch code {
		case proto.ServerCodeData:
			if _, err := w.in.Str(); err != nil { // name of a table of the query's own
				return 0, err
			}
			var b proto.Block
			if err := b.DecodeBlock(w.in, wireRevision, into); err != nil {
				return 0, err
			}
			return b.Rows, nil
		case proto.ServerCodeEndOfStream:
			return 0, errEnd
		case proto.ServerCodeProgress:
			err = new(proto.Progress).DecodeAware(w.in, wireRevision)
		case proto.ServerCodeProfile:
			err = new(proto.Profile).DecodeAware(w.in, wireRevision)
		case proto.ServerCodeTableColumns:
			err = new(proto.TableColumns).DecodeAware(w.in, wireRevision)
		default:
			err = fmt.Errorf("the server sends packet %v, which was not asked for", code)
		}
		if err != nil {
			return 0, err
		}
	}
}
