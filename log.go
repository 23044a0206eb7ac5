package main

import (
	"io"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"sessiongate/config"
)

// newLogger returns a logger that writes to w: JSON lines, or columns for people on a terminal. Its level can be changed while it is in use.
func newLogger(c config.Log, w io.Writer) (*zap.Logger, zap.AtomicLevel) {
	level, err := zap.ParseAtomicLevel(c.Level)
	if err != nil { // the configuration was checked
		level = zap.NewAtomicLevelAt(zapcore.InfoLevel)
	}
	conf := zap.NewProductionEncoderConfig()
	conf.TimeKey, conf.EncodeTime = "time", zapcore.ISO8601TimeEncoder
	conf.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(conf)
	if c.Format == "console" || c.Format == "auto" && terminal(w) {
		conf.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(conf)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), level)), level
}

// terminal tells whether someone is likely to be looking at what is read from or written to f.
func terminal(f any) bool {
	file, ok := f.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull) // a device too, by whatever name it was opened
	return err != nil || !os.SameFile(info, null)
}
