package pipeline

import (
	"context"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// Decoder makes text of records whose values are compressed or binary, before
// they are mapped.
//
// Decode returns r itself where there is nothing to decode. Otherwise it returns
// a record of its own, valid until the next call: with the decoded Value, or, if
// the value is at fault, with Fault; Raw is what the source delivered in both
// cases. An error is not about the record: it says that the record cannot be
// decoded now (a schema registry that does not answer), and the same record is
// given again later. A Decoder belongs to one goroutine.
type Decoder interface {
	Decode(ctx context.Context, r *event.Record) (*event.Record, error)
}

// Opener returns the worker of a partition; it is what a Source calls.
type Opener func(context.Context, event.Partition) (event.Worker, error)

// Decoding returns an Opener whose workers decode records before they map them,
// each with a Decoder of its own. Open has to be a Runner's.
func Decoding(open Opener, newDecoder func() (Decoder, error)) Opener {
	return func(ctx context.Context, p event.Partition) (event.Worker, error) {
		opened, err := open(ctx, p)
		if err != nil {
			return nil, err
		}
		w, ok := opened.(*worker)
		if !ok {
			opened.Close()
			return nil, fault.New(fault.Operator, fault.Internal, "opening partition %d of %s: its worker cannot decode", p.Number, p.Topic)
		}
		if w.decoder, err = newDecoder(); err != nil {
			w.Close()
			return nil, err
		}
		return w, nil
	}
}

// decode returns the record to map. While it cannot be decoded for a reason that
// is not its own, the partition waits, as it waits for a sink: nothing is
// acknowledged and nothing buried. The error is ctx's.
func (w *worker) decode(ctx context.Context, p *event.Partition, r *event.Record) (*event.Record, error) {
	if w.decoder == nil {
		return r, nil
	}
	out, err := w.decoder.Decode(ctx, r)
	if err == nil {
		return out, nil
	}
	log := w.runner.set.Logger.With("topic", p.Topic, "partition", p.Number)
	began, said := time.Now(), ""
	for attempt := 0; err != nil; attempt++ {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		f := fault.Of(err)
		if f.Error() != said {
			said = f.Error()
			log.Warn("record cannot be decoded yet; reading of the partition pauses until it can",
				"offset", r.Offset, "class", f.Class.String(), "reason", string(f.Reason), "error", said)
		}
		if !w.runner.cfg.Retry.wait(ctx, attempt, f.RetryAfter) {
			return nil, context.Cause(ctx)
		}
		out, err = w.decoder.Decode(ctx, r)
	}
	log.Info("records are decoded again; reading of the partition goes on", "offset", r.Offset, "after", time.Since(began).Round(time.Second))
	return out, nil
}
