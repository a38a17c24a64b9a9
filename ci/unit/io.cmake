# Unit tests of hv/io and hv/drivers, on the real core.
skep_host_library(io-fixture SOURCES test_io_fixture.c fake_disk.c block_fixture.c LIBS core-fake)
foreach(name queue segment segment6 switch switch6 groups virtqueue volume block limits model waits)
    skep_unit_test(test_io_${name} SOURCES test_io_${name}.c LIBS io-fixture core-fake)
endforeach()
skep_unit_test(test_disks SOURCES test_disks.c LIBS io-fixture core-fake)
skep_unit_test(test_virtio_blk SOURCES test_virtio_blk.c virtio_fixture.c LIBS core-fake)
skep_unit_test(test_virtio_net SOURCES test_virtio_net.c virtio_fixture.c LIBS core-fake)
