// sam3 of Go: `take` prints a destination and echoes what comes, `call DESTINATION SIZE` sends bytes and wants them back.
package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/go-i2p/i2pkeys"
	"github.com/go-i2p/sam3"
)

var options = []string{"inbound.length=2", "outbound.length=2", "inbound.quantity=2", "outbound.quantity=2", "i2cp.leaseSetEncType=4"}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func session(name string) *sam3.StreamSession {
	sam, err := sam3.NewSAM("127.0.0.1:7656")
	must(err)
	keys, err := sam.NewKeys("SIGNATURE_TYPE=7")
	must(err)
	session, err := sam.NewStreamSession(name, keys, options)
	must(err)
	return session
}

func main() {
	if os.Args[1] == "take" {
		session := session("sam3-take")
		fmt.Println("DESTINATION", session.Addr().Base64())
		listener, err := session.Listen()
		must(err)
		for {
			stream, err := listener.AcceptI2P()
			must(err)
			go io.Copy(stream, stream)
		}
	}
	size, err := strconv.Atoi(os.Args[3])
	must(err)
	sent, got := make([]byte, size), make([]byte, size)
	rand.Read(sent)
	address, err := i2pkeys.NewI2PAddrFromString(os.Args[2])
	must(err)
	stream, err := session("sam3-call").DialI2P(address)
	must(err)
	go stream.Write(sent)
	_, err = io.ReadFull(stream, got)
	must(err)
	if !bytes.Equal(got, sent) {
		fmt.Println("other bytes")
		os.Exit(1)
	}
	fmt.Println("ok")
}
