module ramson/with-sam3

go 1.21

require (
	github.com/go-i2p/i2pkeys v0.0.0-20241108200332-e4f5ccdff8c4
	github.com/go-i2p/sam3 v0.33.9
)

require (
	github.com/sirupsen/logrus v1.9.3 // indirect
	golang.org/x/sys v0.27.0 // indirect
)
