module __name__

go 1.24

require feedpulse/check v0.0.0

replace feedpulse/check => ./sdk/go
