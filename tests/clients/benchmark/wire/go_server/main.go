// A server by grpc-go for the tests of the wire: a request says in words how it is to be answered.
//
//	go_server [-unix PATH] [-tls FILE] [-streams N]
//
// With -tls it makes a certificate for 127.0.0.1, and writes it to the file.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"log"
	"math/big"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// raw passes messages as they are.
type raw struct{}

func (raw) Name() string                        { return "raw" }
func (raw) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }
func (raw) Unmarshal(octets []byte, into any) error {
	*into.(*[]byte) = append([]byte{}, octets...)
	return nil
}

func answer(ctx context.Context, request []byte) ([]byte, error) {
	verb, rest, _ := strings.Cut(string(request), " ")
	switch verb {
	case "fail":
		number, words, _ := strings.Cut(rest, " ")
		code, _ := strconv.Atoi(number)
		return nil, status.Error(codes.Code(code), words)
	case "big":
		size, _ := strconv.Atoi(rest)
		return make([]byte, size), nil
	case "sleep":
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Minute):
		}
	case "token":
		held, _ := metadata.FromIncomingContext(ctx)
		return []byte(strings.Join(held.Get("authorization"), ",")), nil
	}
	return request, nil
}

func main() {
	unix := flag.String("unix", "", "path of a socket")
	tlsFile := flag.String("tls", "", "where to write the certificate")
	streams := flag.Uint("streams", 0, "calls at the same time on a connection")
	flag.Parse()
	network, address := "tcp", "127.0.0.1:0"
	if *unix != "" {
		network, address = "unix", *unix
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		log.Fatal(err)
	}
	options := []grpc.ServerOption{
		grpc.ForceServerCodec(raw{}),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			var request []byte
			if err := stream.RecvMsg(&request); err != nil {
				return err
			}
			message, err := answer(stream.Context(), request)
			if err != nil {
				return err
			}
			return stream.SendMsg(&message)
		}),
	}
	if *tlsFile != "" {
		options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(certificate(*tlsFile))))
	}
	if *streams > 0 {
		options = append(options, grpc.MaxConcurrentStreams(uint32(*streams)))
	}
	fmt.Println(listener.Addr())
	log.Fatal(grpc.NewServer(options...).Serve(listener))
}

func certificate(path string) *tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	made, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made}), 0o600); err != nil {
		log.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{made}, PrivateKey: key}
}
