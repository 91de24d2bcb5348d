// A gRPC server that costs next to nothing: it gives every call of a method the same bytes, and stalls when told to.
//
//	go run . -predict answer.pb -metadata metadata.pb [-listen 127.0.0.1:0] [-stall 200ms -every 1s]
//
// It prints its address, and then, for each client that asks for the metadata, when its first Predict came (nanoseconds since
// 1970). Whatever has come is answered by one write, so that a client, not the server, is measured.
package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/http2/hpack"
)

const (
	preface     = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frameHeader = 9
	window      = 1<<31 - 1
	looks       = 400

	data, headers, settings, ping, windowUpdate, continuation = 0, 1, 4, 6, 8, 9

	endStream, endHeaders, padded, priority, ack = 0x1, 0x4, 0x8, 0x20, 0x1
)

var (
	// Header blocks that leave the dynamic table alone: they mean the same on every connection, at any time.
	answerHeaders = append([]byte{0x88, 0x0f, 0x10, 16}, "application/grpc"...)
	trailersOK    = append(append([]byte{0x00, 11}, "grpc-status"...), 1, '0')
	unimplemented = append(append(append([]byte{}, answerHeaders...), append([]byte{0x00, 11}, "grpc-status"...)...), 2, '1', '2')
)

type server struct {
	answers      map[string][]byte
	stall, every time.Duration
	began        time.Time
	// Whether a Predict will be the first of a client.
	described atomic.Bool
}

const (
	predictMethod  = "/tensorflow.serving.PredictionService/Predict"
	metadataMethod = "/tensorflow.serving.PredictionService/GetModelMetadata"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	predict := flag.String("predict", "", "file with an encoded PredictResponse")
	metadata := flag.String("metadata", "", "file with an encoded GetModelMetadataResponse")
	stall := flag.Duration("stall", 0, "how long to answer nothing, each time")
	every := flag.Duration("every", time.Second, "from one stall's beginning to the next")
	flag.Parse()
	s := &server{stall: *stall, every: *every, began: time.Now(), answers: map[string][]byte{
		predictMethod:  read(*predict),
		metadataMethod: read(*metadata),
	}}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			if err := s.serve(conn); err != nil && !errors.Is(err, io.EOF) {
				log.Print(err)
			}
			conn.Close()
		}()
	}
}

func read(path string) []byte {
	message, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	return message
}

// note tells when the first Predict of a client came.
func (s *server) note(method string) {
	if method == metadataMethod {
		s.described.Store(true)
	} else if method == predictMethod && s.described.Load() && s.described.Swap(false) {
		fmt.Println(time.Now().UnixNano())
	}
}

// wait sleeps through a stall, if there is one now.
func (s *server) wait() {
	if s.stall > 0 {
		if into := time.Since(s.began) % s.every; into < s.stall {
			time.Sleep(s.stall - into)
		}
	}
}

type connection struct {
	server  *server
	decoder *hpack.Decoder
	path    string
	// The method's answer by stream, until its request has ended.
	open map[uint32]string
	// Answers to be queued, and how many of them were; the peer's window may lack room.
	waiting []response
	queued  int
	room    int
	taken   int
	out     []byte
}

type response struct {
	stream  uint32
	message []byte
}

func (s *server) serve(conn net.Conn) error {
	buffer := make([]byte, 1<<20)
	if _, err := io.ReadFull(conn, buffer[:len(preface)]); err != nil || string(buffer[:len(preface)]) != preface {
		return fmt.Errorf("not HTTP/2: %q (%v)", buffer[:len(preface)], err)
	}
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	c := &connection{server: s, open: map[uint32]string{}, room: 65535}
	c.decoder = hpack.NewDecoder(4096, func(field hpack.HeaderField) {
		if field.Name == ":path" {
			c.path = field.Value
		}
	})
	c.out = frame(c.out, settings, 0, 0, 6)
	c.out = binary.BigEndian.AppendUint32(append(c.out, 0, 4), window)
	c.grant(window - 65535)
	filled := 0
	for {
		if len(c.out) > 0 {
			if _, err := conn.Write(c.out); err != nil {
				return err
			}
			c.out = c.out[:0]
		}
		count, err := readSoon(raw, buffer[filled:])
		if err != nil {
			return err
		}
		s.wait()
		filled += count
		used, err := c.take(buffer[:filled])
		if err != nil {
			return err
		}
		copy(buffer, buffer[used:filled])
		filled -= used
	}
}

// readSoon looks for bytes some hundred times before it sleeps: waking the server up costs the client that sends to it.
func readSoon(raw syscall.RawConn, into []byte) (count int, failure error) {
	err := raw.Read(func(file uintptr) bool {
		for range looks {
			if count, failure = syscall.Read(int(file), into); failure != syscall.EAGAIN {
				return true
			}
		}
		return false
	})
	if err == nil && failure == nil && count == 0 {
		err = io.EOF
	}
	return count, errors.Join(err, failure)
}

// take handles the whole frames that octets begin with, and returns their length.
func (c *connection) take(octets []byte) (int, error) {
	used := 0
	for len(octets)-used >= frameHeader {
		head := octets[used:]
		length := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		if length > 1<<14 {
			return used, fmt.Errorf("a frame of %d bytes", length)
		}
		if len(head) < frameHeader+length {
			break
		}
		stream := binary.BigEndian.Uint32(head[5:]) & window
		if err := c.frame(head[3], head[4], stream, head[frameHeader:frameHeader+length]); err != nil {
			return used, err
		}
		used += frameHeader + length
	}
	return used, nil
}

func (c *connection) frame(kind, flags byte, stream uint32, payload []byte) error {
	switch kind {
	case headers, continuation:
		if kind == headers {
			if flags&padded != 0 {
				payload = payload[1 : len(payload)-int(payload[0])]
			}
			if flags&priority != 0 {
				payload = payload[5:]
			}
		}
		if _, err := c.decoder.Write(payload); err != nil {
			return err
		}
		if flags&endHeaders != 0 {
			if err := c.decoder.Close(); err != nil {
				return err
			}
			c.open[stream] = c.path
		}
	case data:
		if c.taken += len(payload); c.taken > window/2 {
			c.grant(c.taken)
			c.taken = 0
		}
		if flags&endStream != 0 {
			method := c.open[stream]
			message, known := c.server.answers[method]
			delete(c.open, stream)
			c.server.note(method)
			if known {
				c.waiting = append(c.waiting, response{stream, message})
			} else {
				c.out = append(frame(c.out, headers, endHeaders|endStream, stream, len(unimplemented)), unimplemented...)
			}
			c.answer()
		}
	case settings:
		if flags&ack == 0 {
			c.out = frame(c.out, settings, ack, 0, 0)
		}
	case ping:
		if flags&ack == 0 {
			c.out = append(frame(c.out, ping, ack, 0, len(payload)), payload...)
		}
	case windowUpdate:
		if stream == 0 {
			c.room += int(binary.BigEndian.Uint32(payload))
			c.answer()
		}
	}
	return nil
}

// answer queues the answers that the connection's window has room for.
func (c *connection) answer() {
	for c.queued < len(c.waiting) && c.room >= 5+len(c.waiting[c.queued].message) {
		stream, message := c.waiting[c.queued].stream, c.waiting[c.queued].message
		c.room -= 5 + len(message)
		c.out = append(frame(c.out, headers, endHeaders, stream, len(answerHeaders)), answerHeaders...)
		c.out = append(frame(c.out, data, 0, stream, 5+len(message)), 0)
		c.out = append(binary.BigEndian.AppendUint32(c.out, uint32(len(message))), message...)
		c.out = append(frame(c.out, headers, endHeaders|endStream, stream, len(trailersOK)), trailersOK...)
		c.queued++
	}
	if c.queued == len(c.waiting) {
		c.waiting, c.queued = c.waiting[:0], 0
	}
}

// grant allows the peer so many bytes more on the connection; its streams have room for any request.
func (c *connection) grant(increment int) {
	c.out = binary.BigEndian.AppendUint32(frame(c.out, windowUpdate, 0, 0, 4), uint32(increment))
}

func frame(out []byte, kind, flags byte, stream uint32, length int) []byte {
	out = append(out, byte(length>>16), byte(length>>8), byte(length), kind, flags)
	return binary.BigEndian.AppendUint32(out, stream)
}
