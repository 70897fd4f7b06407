module feedpulse/check

go 1.24
