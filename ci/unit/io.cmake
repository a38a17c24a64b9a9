# Unit tests of hv/io and hv/drivers, on the real core.
skep_host_library(io-fixture SOURCES test_io_fixture.c LIBS core-fake)
foreach(name queue switch virtqueue waits)
    skep_unit_test(test_io_${name} SOURCES test_io_${name}.c LIBS io-fixture core-fake)
endforeach()
