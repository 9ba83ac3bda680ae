// Command pause holds the namespaces of a pod of the end-to-end tests and does nothing.
//
// With port numbers as arguments it is a container that listens on them, and closes what connects.
package main

import (
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGINT, syscall.SIGTERM)
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	for _, port := range os.Args[1:] {
		listener, err := net.Listen("tcp4", ":"+port)
		if err != nil {
			log.Fatal(err)
		}
		go answer(listener)
	}
	for {
		select {
		case <-ends:
			return
		case <-children: // process 1 of a pod inherits the orphans
			for reaped := 1; reaped > 0; {
				reaped, _ = syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			}
		}
	}
}

func answer(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		connection.Close()
	}
}
